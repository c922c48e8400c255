// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"math"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Manifest is an OCI manifest or Docker's schema 2, of an image or an artifact.
type Manifest struct {
	SchemaVersion int    `json:"schemaVersion"`
	MediaType     string `json:"mediaType"`
	ArtifactType  string `json:"artifactType"`
	// Config and Layers have valid digests and sizes. The lowest layer comes first.
	// Layers keep up to 16 urls as their author wrote them; those of Config are dropped.
	Config      ocispec.Descriptor   `json:"config"`
	Layers      []ocispec.Descriptor `json:"layers"`
	Subject     *ocispec.Descriptor  `json:"subject"`
	Annotations map[string]string    `json:"annotations"`
	// Raw has the exact bytes.
	Raw []byte `json:"-"`
}

// Image is the manifest of a container image: its config is that of an image, and all its
// layers are tars of file systems.
type Image struct{ Manifest }

// ParseManifest decodes and checks the manifest of an image or an artifact. mediaType is
// as for [ParseIndex]. Errors: [ErrMalformed] and [ErrUnsupported].
func ParseManifest(raw []byte, mediaType string) (*Manifest, error) {
	m, err := parseManifest(raw, mediaType)
	if err != nil {
		return nil, fmt.Errorf("parse manifest: %w", err)
	}
	return m, nil
}

// ParseImage decodes and checks the manifest of an image. For an artifact the error is an
// [*ArtifactError]. mediaType is as for [ParseIndex]. Errors: [ErrMalformed] and
// [ErrUnsupported].
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

// checkImage refuses the manifest of an artifact, and of an image that cannot be unpacked.
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

// Size returns the sum of the layers' sizes in bytes, compressed as they are stored. A
// repeated layer counts once. If the sum is too large it is the largest integer.
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

// isImageConfig reports whether the media type is that of an image's config.
func isImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == DockerConfig
}

// isLegacyConfig reports whether the media type may be that of an image's config in an old
// image: registries once guessed it from the content. See
// https://github.com/distribution/distribution/issues/1621.
func isLegacyConfig(mediaType string) bool {
	return mediaType == "application/octet-stream" || mediaType == "application/json" || mediaType == "text/html"
}
