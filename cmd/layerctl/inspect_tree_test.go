// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/manifest"
)

// The whole of a tree that has one of everything, digests cut short here.
func TestInspectTree(t *testing.T) {
	r := imagetest.NewRegistry()
	t.Cleanup(r.Close)
	arm := addPeerImage(r, manifest.DockerManifest, `{"os":"linux","architecture":"arm","variant":"v6"}`)
	arm.Annotations = map[string]string{"org.example.vendor": "somebody with a name that is long enough to need a second line"}
	nested := r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex,
		"manifests": []any{addPeerImage(r, ocispec.MediaTypeImageManifest, `{"os":"linux","architecture":"riscv64"}`)},
	}))
	helm := r.Add("application/vnd.cncf.helm.config.v1+json", []byte(`{}`))
	chart := r.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{"schemaVersion": 2, "config": helm, "layers": []any{}}))
	attestation := ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("attestation"), Size: 500,
		Platform:    &ocispec.Platform{OS: "unknown", Architecture: "unknown"},
		Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": arm.Digest.String()},
	}
	r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{
		"schemaVersion": 2, "manifests": []any{arm, attestation, nested, chart}, "annotations": map[string]string{"a": "b"},
	}), "all")
	tree := output(t, "inspect", "--quiet", "--configs", "--platform", "linux/arm/v6", "--plain-http", r.Host, r.Host+"/image:all")
	checkTree(t, tree)
	var got []string
	for _, line := range strings.Split(tree, "\n") {
		if before, hex, ok := strings.Cut(line, " sha256:"); ok && len(hex) == 64 {
			line = before + " sha256:…"
		}
		got = append(got, strings.ReplaceAll(line, r.Host, "HOST"))
	}
	want := strings.Split(strings.TrimPrefix(wantTree, "\n"), "\n")
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("line %d differs; got\n%s\nwant%s", i+1, strings.Join(got, "\n"), wantTree)
		}
	}
}

const wantTree = `
HOST/image:all
   index sha256:…
         OCI index of 1 image, 1 index, 1 artifact, 1 attestation, 1.1 kB
         a: b
         for linux/arm/v6, as asked for

* linux/arm/v6  (for what was asked for)
manifest sha256:…
         119 B in 2 layers; created 2018-05-01 10:00 UTC; Docker manifest, 728 B
         org.example.vendor: somebody with a name that is long enough to need a
         second line
  config sha256:…
    59 B sha256:…
  diffID sha256:…
    60 B sha256:…
         application/vnd.docker.image.rootfs.diff.tar.gzip
  diffID sha256:…

  nested index
   index sha256:…
         OCI index of 1 image, 291 B

    linux/riscv64
manifest sha256:…
         97 B in 2 layers; created 2018-05-01 10:00 UTC; OCI manifest, 700 B
  config sha256:…
    48 B sha256:…
  diffID sha256:…
    49 B sha256:…
         application/vnd.oci.image.layer.v1.tar+gzip
  diffID sha256:…

  Helm chart
artifact sha256:…
         0 B in 0 blobs; application/vnd.cncf.helm.config.v1+json, 189 B
  config sha256:…

  attestations
  attest sha256:…
         of linux/arm/v6, 500 B
`
