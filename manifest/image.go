// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"math"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Manifest is an OCI manifest or Docker's schema 2, of an image or of anything
// else that is kept in that form.
type Manifest struct {
	SchemaVersion int    `json:"schemaVersion"`
	MediaType     string `json:"mediaType"`
	ArtifactType  string `json:"artifactType"`
	// Config and Layers have checked digests and sizes. Layers stand in their
	// order, the lowest first, each with at most 16 urls as their author wrote
	// them; those of Config are left out.
	Config      ocispec.Descriptor   `json:"config"`
	Layers      []ocispec.Descriptor `json:"layers"`
	Subject     *ocispec.Descriptor  `json:"subject"`
	Annotations map[string]string    `json:"annotations"`
	// Raw are the exact bytes.
	Raw []byte `json:"-"`
}

// Image is the manifest of a container image: its config is an image config
// and every layer one of a file system.
type Image struct{ Manifest }

// ParseManifest decodes and checks a manifest, whatever it is of; [ParseImage]
// is for those of images. The media type is as with [ParseIndex].
func ParseManifest(raw []byte, mediaType string) (*Manifest, error) {
	m, err := parseManifest(raw, mediaType)
	if err != nil {
		return nil, fmt.Errorf("parse manifest: %w", err)
	}
	return m, nil
}

// ParseImage decodes and checks the manifest of an image. For what is none the
// error is an [*ArtifactError], which names it.
func ParseImage(raw []byte, mediaType string) (*Image, error) {
	m, err := parseManifest(raw, mediaType)
	if err == nil {
		err = m.checkImage()
	}
	if err != nil {
		return nil, fmt.Errorf("parse manifest: %w", err)
	}
	return &Image{*m}, nil
}

func parseManifest(raw []byte, mediaType string) (*Manifest, error) {
	t, err := outline(raw, mediaType)
	if err != nil {
		return nil, err
	}
	if !IsManifest(t) {
		return nil, malformed{fmt.Errorf("is an index, %s", t)}
	}
	m := &Manifest{Raw: raw}
	if err := decode(raw, MaxManifestSize, m); err != nil {
		return nil, err
	}
	m.MediaType = t
	seen := sizes{}
	if err := check(&m.Config); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if err := seen.check(m.Config); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	for i := range m.Layers {
		if err := checkLayer(&m.Layers[i]); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		if err := seen.check(m.Layers[i]); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return m, checkSubject(m.Subject)
}

// checkImage refuses a manifest that is none of an image that can be unpacked.
func (m *Manifest) checkImage() error {
	if name := m.Artifact(); name != "" {
		return &ArtifactError{Name: name, Type: m.artifactType()}
	}
	if n := len(m.Layers); n > MaxLayers {
		return malformed{fmt.Errorf("has %d layers, more than %d", n, MaxLayers)}
	}
	if m.Config.Size > MaxConfigSize {
		return malformed{fmt.Errorf("config of %d bytes is larger than %d", m.Config.Size, MaxConfigSize)}
	}
	for i, l := range m.Layers {
		if _, err := CompressionOf(l.MediaType); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return nil
}

// Size is the sum of the layers' sizes in bytes as stored, compressed; the
// largest integer where the manifest claims more. A repeated layer counts once.
func (m *Manifest) Size() int64 {
	var sum int64
	counted := map[string]bool{}
	for _, l := range m.Layers {
		if counted[string(l.Digest)] {
			continue
		}
		counted[string(l.Digest)] = true
		if l.Size > math.MaxInt64-sum {
			return math.MaxInt64
		}
		sum += l.Size
	}
	return sum
}

// isImageConfig says that the media type is that of an image's config.
func isImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == DockerConfig
}

// isLegacyConfig says that the media type stood for an image's config when
// registries gave back what they had guessed: images pushed then are still
// pulled. See https://github.com/distribution/distribution/issues/1621.
func isLegacyConfig(mediaType string) bool {
	return mediaType == "application/octet-stream" || mediaType == "application/json" || mediaType == "text/html"
}
