// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/manifest"
)

// serveForeign starts a registry that has an image by the tag latest, without
// its layer, and the host where that is: the first of the layer's two urls leads
// to nothing there, the second to the layer.
func serveForeign(t *testing.T) (host, elsewhere string) {
	t.Helper()
	own, other := registrytest.NewRegistry(), registrytest.NewRegistry()
	t.Cleanup(own.Close)
	t.Cleanup(other.Close)
	tarball := imagetest.Tar(imagetest.File("etc/motd", "from elsewhere\n"))
	layer := other.Add(manifest.DockerForeignGzip, imagetest.Gzip(tarball))
	at := "http://" + other.Host + "/"
	layer.URLs = []string{at + "blobs/none", at + "blobs/" + layer.Digest.String()}
	image := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	image.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(tarball)}}
	config := own.Add(ocispec.MediaTypeImageConfig, imagetest.JSON(image))
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer}}
	m.SchemaVersion = 2
	own.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(m), "latest")
	return own.Host, other.Host
}
