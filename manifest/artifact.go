// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ArtifactError says that a manifest is of something that is no container
// image. It is an [ErrUnsupported].
type ArtifactError struct {
	Name string // what it is: "Helm chart", "artifact"
	Type string // the media type that tells
}

// Error names it: `is no image but a Helm chart ("application/...")`.
func (e *ArtifactError) Error() string {
	return fmt.Sprintf("is no image but: %s (%q)", e.Name, clip(e.Type))
}

// Is makes errors.Is(err, ErrUnsupported) true.
func (e *ArtifactError) Unwrap() error { return ErrUnsupported }

// Artifact says what a manifest is that is of no image: "Helm chart", "cosign
// signature", "attestation", or "artifact" where its type is not known. It is
// "" for an image. BuildKit's attestations and cosign's signatures have an
// image config for old registries' sake; their layers betray them.
func (m *Manifest) Artifact() string {
	c := m.Config.MediaType
	if m.hasFilesystem() && (isImageConfig(c) || isLegacyConfig(c)) || len(m.Layers) == 0 && m.ArtifactType == "" && isImageConfig(c) {
		return ""
	}
	t := m.artifactType()
	if isEncrypted(t) {
		return "encrypted image"
	}
	for _, known := range artifactTypes {
		if strings.HasPrefix(t, known.prefix) {
			return known.name
		}
	}
	return "artifact"
}

// hasFilesystem says that a layer is one of a file system, or is one. Where another one is
// not, it is a broken image rather than an artifact.
func (m *Manifest) hasFilesystem() bool {
	for _, l := range m.Layers {
		if _, err := CompressionOf(l.MediaType); err == nil || isEROFS(l.MediaType) {
			return true
		}
	}
	return false
}

// artifactType is the media type that tells what it is: that of the manifest,
// else of the config, else of the first layer, as image-spec's guidance for
// artifacts orders them.
func (m *Manifest) artifactType() string {
	switch c := m.Config.MediaType; {
	case m.ArtifactType != "":
		return m.ArtifactType
	case !isImageConfig(c) && c != ocispec.MediaTypeEmptyJSON && c != orasUnknownConfig:
		return c
	case len(m.Layers) > 0:
		return m.Layers[0].MediaType
	default:
		return c
	}
}

const orasUnknownConfig = "application/vnd.unknown.config.v1+json"

// artifactTypes name what is found in registries, by the beginning of the type.
var artifactTypes = [...]struct{ prefix, name string }{
	{"application/vnd.cncf.helm.", "Helm chart"},
	{"application/vnd.in-toto", "attestation"},
	{"application/vnd.docker.attestation.", "attestation"},
	{"application/vnd.dsse.envelope", "attestation"},
	{"application/vnd.dev.cosign.simplesigning.", "cosign signature"},
	{"application/vnd.dev.cosign.artifact.sig.", "cosign signature"},
	{"application/vnd.dev.sigstore.bundle", "sigstore bundle"},
	{"application/vnd.cncf.notary.signature", "Notary signature"},
	{"application/vnd.docker.plugin.", "Docker plugin"},
	{"application/vnd.docker.compose.", "Compose project"},
	{"application/vnd.docker.ai.", "AI model"},
	{"application/vnd.cncf.model.", "AI model"},
	{"application/vnd.ollama.", "AI model"},
	{"application/vnd.wasm.", "WebAssembly module"},
	{"application/wasm", "WebAssembly module"},
	{"application/vnd.sylabs.sif.", "Singularity image"},
	{"application/vnd.amazon.soci.", "SOCI index"},
	{"application/vnd.cncf.flux.", "Flux artifact"},
	{"application/vnd.cyclonedx", "SBOM"},
	{"application/spdx", "SBOM"},
	{"text/spdx", "SBOM"},
	{"application/vnd.syft", "SBOM"},
	{"application/vnd.aquasec.trivy.", "Trivy database"},
	{"application/vnd.buildkit.cacheconfig.", "BuildKit cache"},
	{"application/vnd.devcontainers", "dev container feature"},
}
