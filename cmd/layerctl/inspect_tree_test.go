// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/manifest"
)

// The whole of a tree that has one of everything, digests cut short here.
func TestInspectTree(t *testing.T) {
	r := registrytest.NewRegistry()
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

// One image with all that a config may say, and attestations that say what they
// attest.
func TestInspectImage(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	config := r.Add(ocispec.MediaTypeImageConfig, []byte(`{"os":"linux","architecture":"arm64","created":"2018-05-01T10:00:00Z","author":"A \u202e",
		"config":{"User":"1000:1000","Entrypoint":["/bin/sh","-c"],"Cmd":["a && b","\u001b[2J"],"WorkingDir":"/srv","Env":["PATH=/bin","B=2"],
		"Labels":{"z":"last","a":"first"},"ExposedPorts":{"80/tcp":{},"53/udp":{}},"Volumes":{"/data":{}},"StopSignal":"SIGINT"},
		"rootfs":{"type":"layers","diff_ids":["sha256:`+strings.Repeat("1", 64)+`"]},
		"history":[{"created_by":"/bin/sh -c #(nop)  ADD file"},{"created_by":"CMD [\"sh\"]","empty_layer":true}]}`))
	layer := r.Add(ocispec.MediaTypeImageLayerGzip, []byte("layer"))
	image := r.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []any{layer}}), "single")
	image.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	statement := r.Add("application/vnd.in-toto+json", []byte(`{}`))
	statement.Annotations = map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}
	attestation := r.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []any{statement}}))
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.Digest.String(), "empty": ""}
	r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{image, attestation}}), "index")
	facts := []string{
		`    author  A \u202e`, `      user  1000:1000`, `entrypoint  ["/bin/sh","-c"]`, `       cmd  ["a && b","\u001b[2J"]`, `   workdir  /srv`,
		`      stop  SIGINT`, `       env  PATH=/bin`, `       env  B=2`, `     label  a=first`, `     label  z=last`, `     ports  53/udp 80/tcp`,
		`   volumes  /data`, `   history  /bin/sh -c #(nop) ADD file`, `   history  CMD ["sh"]  (no layer)`,
	}
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"--platform", "linux/arm64", r.Host + "/image:index"}, append(facts, "  attest "+attestation.Digest.String())},
		{[]string{r.Host + "/image:single"}, facts},
		{[]string{"--layers", r.Host + "/image:index"}, []string{"         of linux/arm64, " + fmt.Sprint(attestation.Size) + " B", "         predicate https://slsa.dev/provenance/v0.2"}},
		{[]string{"--platform", "linux/amd64", r.Host + "/image:index"}, []string{"  linux/arm64   5 B       1  " + image.Digest.Encoded()[:12], "nothing for linux/amd64, as asked for; --layers shows more, and the 1", "attestation"}},
	} {
		got := output(t, append([]string{"inspect", "--quiet", "--plain-http", r.Host}, test.args...)...)
		checkTree(t, got)
		for _, want := range test.want {
			if !strings.Contains(got, "\n"+want+"\n") {
				t.Errorf("%q does not print %q:\n%s", test.args, want, got)
			}
		}
		if strings.Contains(got, "empty") {
			t.Errorf("%q prints an empty annotation:\n%s", test.args, got)
		}
	}
}
