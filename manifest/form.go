// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Form is whose media types an image has.
type Form int

// The forms.
const (
	AnyForm Form = iota // as it is
	OCI
	Docker
)

// String is the form as people write it.
func (f Form) String() string { return [...]string{"any", "oci", "docker"}[f] }

// pairs are media types that mean the same: OCI's and Docker's.
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

// In is the media type that means the same in a form; ok is false where the form
// has none. Of Docker's for zstd there is a name, which not all programs know:
// it is none here.
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

// FormOf is the form that a media type belongs to; AnyForm where it is in none
// of the two.
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

// Layer is the media type of a layer that is packed so; ok is false where the
// form has none, see [Form.In].
func (f Form) Layer(c Compression) (_ string, ok bool) {
	return f.In([...]string{ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd}[c])
}
