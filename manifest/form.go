// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Form is a family of media types: those of OCI or of Docker.
type Form int

// The forms.
const (
	AnyForm Form = iota // whichever an image has
	OCI
	Docker
)

// String returns "any", "oci" or "docker".
func (f Form) String() string { return [...]string{"any", "oci", "docker"}[f] }

// pairs has the media types of OCI and Docker that mean the same.
var pairs = [...][2]string{
	{ocispec.MediaTypeImageIndex, DockerManifestList},
	{ocispec.MediaTypeImageManifest, DockerManifest},
	{ocispec.MediaTypeImageConfig, DockerConfig},
	{ocispec.MediaTypeImageLayer, DockerLayer},
	{ocispec.MediaTypeImageLayerGzip, DockerLayerGzip},
	{ocispec.MediaTypeImageLayerZstd, DockerLayerZstd},
	{ociForeign, DockerForeign},
	{ociForeignGzip, DockerForeignGzip},
}

// In returns the media type that means the same in the form. ok is false if the form has
// none. Docker's type for zstd does not count, because not all programs know it.
func (f Form) In(mediaType string) (_ string, ok bool) {
	switch i := slices.IndexFunc(pairs[:], func(p [2]string) bool { return p[0] == mediaType || p[1] == mediaType }); {
	case f == AnyForm:
		return mediaType, true
	case i < 0 || f == Docker && pairs[i][1] == DockerLayerZstd:
		return "", false
	default:
		return pairs[i][f-OCI], true
	}
}

// FormOf returns the form to which a media type belongs; AnyForm if it is in neither.
func FormOf(mediaType string) Form {
	for _, p := range pairs {
		switch mediaType {
		case p[0]:
			return OCI
		case p[1]:
			return Docker
		}
	}
	return AnyForm
}

// Layer returns the form's media type of a layer with the compression. ok is false if it
// has none, see [Form.In].
func (f Form) Layer(c Compression) (_ string, ok bool) {
	return f.In([...]string{ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd}[c])
}
