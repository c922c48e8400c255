// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"mime"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// twins has the pairs of media types of which a document may be served as one and name
// the other itself: all its fields mean the same in both. A manifest that is served as an
// index, or the other way round, is no such pair: a reader that believes the header would
// run another image than one that believes the document (CVE-2021-41190).
var twins = map[string]string{
	ocispec.MediaTypeImageIndex:    DockerManifestList,
	DockerManifestList:             ocispec.MediaTypeImageIndex,
	ocispec.MediaTypeImageManifest: DockerManifest,
	DockerManifest:                 ocispec.MediaTypeImageManifest,
}

// Telling returns the media type in lower case and without parameters. It returns "" for a
// type that file servers and object stores give to any file.
func Telling(mediaType string) string {
	t, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		t, _, _ = strings.Cut(mediaType, ";")
		t = strings.ToLower(strings.TrimSpace(t))
	}
	switch t {
	case "application/json", "application/octet-stream", "binary/octet-stream", "application/binary",
		"application/x-binary", "application/unknown", "application/x-unknown", "unknown/unknown",
		"application/x-www-form-urlencoded", "application/x-download", "application/download":
		return ""
	}
	if strings.HasPrefix(t, "text/") || !strings.Contains(t, "/") {
		return ""
	}
	return t
}

// AgreeMediaType returns the media type of a document. claimed is the type as which it was
// served or described, and own the type that it names itself. It returns "" if neither is
// telling. If they are the types of OCI and Docker for the same kind of document, the
// document decides, because its digest is known. Any other contradiction is an
// [ErrMalformed].
func AgreeMediaType(claimed, own string) (string, error) {
	claimed, own = Telling(claimed), Telling(own)
	switch {
	case own == "":
		return claimed, nil
	case claimed == "", claimed == own, twins[claimed] == own:
		return own, nil
	}
	return "", malformed{fmt.Errorf("is served or listed as %q but calls itself %q", clip(claimed), clip(own))}
}

// MediaTypeOf returns the media type that the document names, or else that of its fields;
// "" for what is no valid index or manifest.
func MediaTypeOf(raw []byte) string {
	t, err := outline(raw, "")
	if err != nil {
		return ""
	}
	return t
}
