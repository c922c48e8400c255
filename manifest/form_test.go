// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestForm(t *testing.T) {
	for _, tt := range []struct {
		form Form
		in   string
		want string // "" for none
	}{
		{AnyForm, "anything", "anything"},
		{OCI, DockerManifestList, ocispec.MediaTypeImageIndex},
		{OCI, DockerManifest, ocispec.MediaTypeImageManifest},
		{OCI, ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageManifest},
		{OCI, DockerConfig, ocispec.MediaTypeImageConfig},
		{OCI, DockerLayerZstd, ocispec.MediaTypeImageLayerZstd},
		{OCI, DockerForeignGzip, ociForeignGzip},
		{Docker, ocispec.MediaTypeImageIndex, DockerManifestList},
		{Docker, ocispec.MediaTypeImageConfig, DockerConfig},
		{Docker, ocispec.MediaTypeImageLayerGzip, DockerLayerGzip},
		{Docker, DockerLayer, DockerLayer},
		{Docker, ocispec.MediaTypeImageLayerZstd, ""},
		{Docker, DockerLayerZstd, ""},
		{Docker, ociForeignZstd, ""},
		{OCI, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", ""},
	} {
		got, ok := tt.form.In(tt.in)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s in %s: got %q, %v, want %q", tt.in, tt.form, got, ok, tt.want)
		}
	}
	for in, want := range map[string]Form{DockerLayer: Docker, ocispec.MediaTypeImageIndex: OCI, "application/json": AnyForm} {
		if got := FormOf(in); got != want {
			t.Errorf("%s is of %s, want %s", in, got, want)
		}
	}
}
