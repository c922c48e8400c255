// SPDX-License-Identifier: Apache-2.0

package show

import (
	"fmt"
	"maps"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/manifest"
)

// manifestName returns the name of a manifest for a heading.
func manifestName(m *inspect.Manifest) string {
	switch {
	case m.Kind == "index" && m.Platform == nil:
		return "nested index"
	case m.Kind == "index":
		return m.Platform.String() + ", nested index"
	case m.Kind == "artifact" && m.Artifact != "":
		return m.Artifact
	case m.Kind != "image":
		return m.Kind
	case m.Platform == nil:
		return "image without a platform"
	default:
		return m.Platform.String()
	}
}

// summary returns a line about a manifest.
func summary(m *inspect.Manifest) string {
	var parts []string
	if m.CompressedSize != nil {
		noun := "layer"
		if m.Kind != "image" {
			noun = "blob"
		}
		parts = append(parts, fmt.Sprintf("%s in %s", terminal.Bytes(*m.CompressedSize), terminal.Count(len(m.Layers), noun)))
	}
	if m.Created != "" {
		parts = append(parts, "created "+dayAndTime(m.Created))
	}
	form := formName(m.MediaType)
	if m.Kind != "image" && m.ArtifactType != "" {
		form = m.ArtifactType
	}
	return strings.Join(append(parts, form+", "+terminal.Bytes(m.Size)), "; ")
}

// dayAndTime returns a time as "2006-01-02 15:04 UTC". Text that is no time it returns as
// it is.
func dayAndTime(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return s
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// formName returns the name of a document's media type.
func formName(mediaType string) string {
	switch mediaType {
	case ocispec.MediaTypeImageIndex:
		return "OCI index"
	case ocispec.MediaTypeImageManifest:
		return "OCI manifest"
	case manifest.DockerManifestList:
		return "Docker manifest list"
	case manifest.DockerManifest:
		return "Docker manifest"
	default:
		return mediaType
	}
}

// census counts what an index lists: "2 images, 2 attestations".
func census(entries []inspect.Manifest) string {
	counts := map[string]int{}
	for _, e := range entries {
		counts[e.Kind]++
	}
	var parts []string
	for _, kind := range []string{"image", "index", "artifact", "attestation"} {
		if n := counts[kind]; n > 0 {
			parts = append(parts, terminal.Count(n, kind))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// subject returns the name of the manifest that an attestation is about.
func subject(entries []inspect.Manifest, of string) string {
	for i := range entries {
		if string(entries[i].Digest) == of {
			return manifestName(&entries[i])
		}
	}
	if of == "" {
		return "nobody knows what"
	}
	return of + ", which is not here"
}

// hostName returns the platform that was chosen for, in words.
func hostName(h inspect.Host) string {
	if h.Named {
		return h.Platform.String() + ", as asked for"
	}
	s := h.Platform.String() + ", this machine"
	if h.Other != nil {
		s += ", which runs " + h.Other.String() + " too"
	}
	return s
}

// without returns the annotations except those with a prefix.
func without(annotations map[string]string, prefix string) map[string]string {
	rest := maps.Clone(annotations)
	maps.DeleteFunc(rest, func(key, _ string) bool { return strings.HasPrefix(key, prefix) })
	return rest
}
