// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ArtifactError says that a manifest is that of an artifact, not of a container image. It
// matches [ErrUnsupported].
type ArtifactError struct {
	Name string // the kind of artifact, such as "Helm chart"; else "artifact"
	Type string // the media type that tells the kind
}

// Error names it: `is no image but: Helm chart ("application/...")`.
func (e *ArtifactError) Error() string {
	return fmt.Sprintf("is no image but: %s (%q)", e.Name, clip(e.Type))
}

// Unwrap makes it match [ErrUnsupported].
func (e *ArtifactError) Unwrap() error { return ErrUnsupported }

// Artifact returns the kind of artifact that a manifest is of: "Helm chart", "cosign
// signature", "attestation", or "artifact" if its type is not known. It returns "" for an
// image. BuildKit's attestations and cosign's signatures have the config of an image, for
// old registries; they are recognised by their layers.
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

// hasFilesystem reports whether any layer is one of a file system, or is itself one. If
// another layer is neither, the manifest is a broken image rather than an artifact.
func (m *Manifest) hasFilesystem() bool {
	for _, l := range m.Layers {
		if _, err := CompressionOf(l.MediaType); err == nil || isEROFS(l.MediaType) {
			return true
		}
	}
	return false
}

// artifactType returns the media type that tells the kind: artifactType, or else that of
// the config, or else that of the first layer, in the order of image-spec's guidance for
// artifacts.
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

// orasUnknownConfig is the media type of a config that ORAS has no type for.
const orasUnknownConfig = "application/vnd.unknown.config.v1+json"

// artifactTypes has the kinds of artifacts by the beginnings of their types.
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
