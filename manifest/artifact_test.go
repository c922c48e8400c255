// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What registries hold besides images, as the tools that push it write it.
func TestArtifactsAreNamed(t *testing.T) {
	const empty = ocispec.MediaTypeEmptyJSON
	config := ocispec.MediaTypeImageConfig
	tests := []struct {
		name, artifactType, config string
		layers                     []string
		want                       string // "" for an image
	}{
		{"an image", "", config, []string{ocispec.MediaTypeImageLayerGzip}, ""},
		{"an image of Docker's", "", DockerConfig, []string{DockerLayerGzip, DockerForeignGzip}, ""},
		{"an image without layers", "", config, nil, ""},
		{"an image that also names a type", "application/vnd.acme", config, []string{ocispec.MediaTypeImageLayerZstd}, ""},
		{"an image with a layer nobody knows", "", config, []string{ocispec.MediaTypeImageLayer, "application/x"}, ""},
		{"BuildKit's attestation", "", config, []string{"application/vnd.in-toto+json"}, "attestation"},
		{"BuildKit's attestation of late", "application/vnd.docker.attestation.manifest.v1+json", empty, []string{"application/vnd.in-toto+json"}, "attestation"},
		{"cosign's signature", "", config, []string{"application/vnd.dev.cosign.simplesigning.v1+json"}, "cosign signature"},
		{"cosign's signature as a referrer", "application/vnd.dev.cosign.artifact.sig.v1+json", config, []string{"application/vnd.dev.cosign.simplesigning.v1+json"}, "cosign signature"},
		{"sigstore's bundle", "application/vnd.dev.sigstore.bundle.v0.3+json", empty, []string{"application/vnd.dev.sigstore.bundle.v0.3+json"}, "sigstore bundle"},
		{"encrypted layers", "", "application/vnd.oci.image.config.v1+json", []string{"application/vnd.oci.image.layer.v1.tar+gzip+encrypted"}, "encrypted image"},
		{"Helm's chart", "", "application/vnd.cncf.helm.config.v1+json", []string{"application/vnd.cncf.helm.chart.content.v1.tar+gzip"}, "Helm chart"},
		{"Docker's plugin", "", "application/vnd.docker.plugin.v1+json", []string{DockerLayerGzip}, "Docker plugin"},
		{"a module", "", "application/vnd.wasm.config.v0+json", []string{"application/wasm"}, "WebAssembly module"},
		{"Singularity's image", "", "application/vnd.sylabs.sif.config.v1+json", []string{"application/vnd.sylabs.sif.layer.v1.sif"}, "Singularity image"},
		{"Notary's signature", "", "application/vnd.cncf.notary.signature", []string{"application/jose+json"}, "Notary signature"},
		{"ORAS's files", "", orasUnknownConfig, []string{ocispec.MediaTypeImageLayer}, "artifact"},
		{"an SBOM that only its layer tells", "", empty, []string{"application/spdx+json"}, "SBOM"},
		{"a type of somebody's", "application/vnd.acme", empty, nil, "artifact"},
		{"nothing at all", "", empty, nil, "artifact"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var layers []string
			for i, l := range tt.layers {
				layers = append(layers, desc(l, "sha256:"+strings.Repeat(string(rune('0'+i)), 64), 7))
			}
			raw := []byte(`{"schemaVersion":2,"artifactType":"` + tt.artifactType + `","config":` + desc(tt.config, digestA, 7) + `,"layers":[` + strings.Join(layers, ",") + `]}`)
			m, err := ParseManifest(raw, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Artifact(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			kind, err := Classify(ocispec.MediaTypeImageManifest, raw)
			if want := map[bool]Kind{true: KindImage, false: KindArtifact}[tt.want == ""]; kind != want || err != nil {
				t.Errorf("got %s, %v; want %s", kind, err, want)
			}
		})
	}
}

func TestAttestationInIndex(t *testing.T) {
	index, err := ParseIndex(readFile(t, "scannerctl-0.1.1", "index.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	for i, of := range []int{-1, -1, 0, 1} {
		dgst, ok := IsAttestation(index.Manifests[i])
		if ok != (of >= 0) || ok && dgst != string(index.Manifests[of].Digest) {
			t.Errorf("entry %d: got %q, %v", i, dgst, ok)
		}
	}
}

func TestCompressionOf(t *testing.T) {
	tests := []struct {
		mediaType string
		want      Compression
		foreign   bool
	}{
		{ocispec.MediaTypeImageLayer, Uncompressed, false},
		{ocispec.MediaTypeImageLayerGzip, Gzip, false},
		{ocispec.MediaTypeImageLayerZstd, Zstd, false},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar", Uncompressed, true},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Gzip, true},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Zstd, true},
		{"application/vnd.docker.image.rootfs.diff.tar", Uncompressed, false},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip", Gzip, false},
		{"application/vnd.docker.image.rootfs.diff.tar.zstd", Zstd, false},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar", Uncompressed, true},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Gzip, true},
	}
	for _, tt := range tests {
		got, err := CompressionOf(tt.mediaType)
		if got != tt.want || err != nil || IsForeign(tt.mediaType) != tt.foreign {
			t.Errorf("%s: got %s, %v", tt.mediaType, got, err)
		}
	}
	if len(tests) != len(layerTypes) {
		t.Errorf("got %d types, want %d", len(tests), len(layerTypes))
	}
	for _, s := range []string{"", "application/vnd.oci.image.layer.v1.tar+bzip2", "application/vnd.in-toto+json", "Application/vnd.oci.image.layer.v1.tar"} {
		_, err := CompressionOf(s)
		refused(t, err, ErrUnsupported, "no file system layer")
	}
}
