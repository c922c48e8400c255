// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"mime"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// twins are the pairs of media types of which a document may be served as one
// and call itself the other: the same fields mean the same in both, so that
// neither reading of the document differs from the other. A manifest that is
// served as an index, or the other way round, is none of them: there the
// reader that believes the header would run another image than the one that
// believes the document (CVE-2021-41190).
var twins = map[string]string{
	ocispec.MediaTypeImageIndex:    DockerManifestList,
	DockerManifestList:             ocispec.MediaTypeImageIndex,
	ocispec.MediaTypeImageManifest: DockerManifest,
	DockerManifest:                 ocispec.MediaTypeImageManifest,
}

// Telling is the media type without its parameters, or "" for one that tells
// nothing of a document: what file servers and object stores give to any file.
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

// AgreeMediaType returns the media type of a document: claimed is what it was
// served or described as, own is what it calls itself. It is "" where neither
// tells one. Where the two are twins, as of Docker and OCI, the document
// decides, for its digest is known; any other contradiction is an
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

// MediaTypeOf is what the document calls itself, or else what it is by its
// fields; "" for what is no index and no manifest.
func MediaTypeOf(raw []byte) string {
	t, err := outline(raw, "")
	if err != nil {
		return ""
	}
	return t
}
