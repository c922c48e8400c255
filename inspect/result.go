// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/platform"
)

// version is the version of the shape of an [Result] in JSON.
// It grows when a key changes its meaning or goes; new keys do not count.
const version = 1

// Result is what a reference holds, in one shape for an index and for a
// single image. Encoded as JSON it is what docs/inspect.schema.json describes:
// every key is always there; what is not known, or was not asked for, is "",
// or null where the value is a list, an object or a number.
type Result struct {
	SchemaVersion int    `json:"schemaVersion"` // version
	Reference     string `json:"reference"`     // in canonical form
	// Digest, MediaType and Size are those of the index or manifest that the
	// reference names.
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	Kind      string        `json:"kind"` // "index", "image" or "artifact"
	// Annotations are those of the index or manifest.
	Annotations map[string]string `json:"annotations"`
	Host        Host              `json:"host"`
	// Chosen is the digest of the manifest that a pull would take, "" where
	// there is none.
	Chosen digest.Digest `json:"chosen"`
	// Warnings are what a person should know, a sentence each.
	Warnings []string `json:"warnings"`
	// Manifests are the index's entries in their order. A reference that names
	// an image or an artifact has it here as the only one.
	Manifests []Manifest `json:"manifests"`
	// Referrers are what belongs to the index itself; nil where that was not
	// asked for or it is no index.
	Referrers []Referrer `json:"referrers"`
	// Document are the exact bytes of the index or manifest. Encoding them as
	// part of the Result keeps every value, but not the blanks between.
	Document json.RawMessage `json:"document"`

	refusal  error
	attached []byte
}

// Attached is the document that [Options.Document] names, whose digest was
// checked: of an attestation the predicate. What it says is its author's word.
func (i *Result) Attached() []byte { return i.attached }

// Refusal is why a pull would take nothing of it: a [platform.NoMatchError]
// where nothing fits, a [manifest.ArtifactError] where it is no image, what is
// wrong with a nested index; nil where Chosen is set.
func (i *Result) Refusal() error { return i.refusal }

// Host is what was chosen for.
type Host struct {
	Platform Platform `json:"platform"`
	// Named is true where somebody named the platform; then the machine was
	// not looked at.
	Named bool `json:"named"`
	// Other is what is accepted after every image of Platform; nil is nothing.
	Other *Platform `json:"other"`
	Facts []Fact    `json:"facts"`
	// Warning says what is doubtful about Platform, "" where nothing is.
	Warning string `json:"warning"`
}

// Fact is one thing that was learnt about the host, and where it was
// read; see [platform.Fact].
type Fact struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Platform is a platform as an index or a config names it.
type Platform struct {
	// Name is os/arch[/variant], as --platform takes it; see [platform.Format].
	Name         string   `json:"name"`
	OS           string   `json:"os"`
	Architecture string   `json:"architecture"`
	Variant      string   `json:"variant"`
	OSVersion    string   `json:"os.version"`
	OSFeatures   []string `json:"os.features"`
}

func newPlatform(p ocispec.Platform) Platform {
	return Platform{
		Name: platform.Format(p), OS: p.OS, Architecture: p.Architecture, Variant: p.Variant,
		OSVersion: p.OSVersion, OSFeatures: append([]string{}, p.OSFeatures...),
	}
}

// String is os/arch[/variant], safe to print; see [platform.Format].
func (p Platform) String() string {
	return platform.Format(ocispec.Platform{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant,
		OSVersion: p.OSVersion, OSFeatures: p.OSFeatures,
	})
}

// Manifest is an entry of an index, or what the reference names.
type Manifest struct {
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	// Kind is "image", "index", "attestation" or "artifact". Of a manifest
	// that was not read it goes by what the index says.
	Kind string `json:"kind"`
	// Platform is what the index says, or of a single image its config; nil
	// where none is named.
	Platform *Platform `json:"platform"`
	// Artifact names in words what is no image: "Helm chart". ArtifactType is
	// the media type that the index or the manifest gives for it.
	Artifact     string `json:"artifact"`
	ArtifactType string `json:"artifactType"`
	// AttestationOf is the digest of the manifest that an attestation is of.
	AttestationOf string `json:"attestationOf"`
	// Annotations are those of the index's entry, ManifestAnnotations those
	// that stand in the manifest itself.
	Annotations         map[string]string `json:"annotations"`
	ManifestAnnotations map[string]string `json:"manifestAnnotations"`
	Chosen              bool              `json:"chosen"`
	// Verdict is nil for an index, whose entries have one each.
	Verdict *Verdict `json:"verdict"`
	// Config, CompressedSize and Layers are nil where the manifest was not
	// read. Layers stand in their order, the lowest first.
	Config *Config `json:"config"`
	// CompressedSize is the sum of the layers in bytes as the registry has
	// them, a repeated one counted once.
	CompressedSize *int64  `json:"compressedSize"`
	Layers         []Layer `json:"layers"`
	// Created is when the image was made, in RFC 3339: by its config, or where
	// that was not read by the annotation org.opencontainers.image.created.
	Created string `json:"created"`
	// Manifests are a nested index's entries; nil for anything else.
	Manifests []Manifest `json:"manifests"`
	// Referrers are what belongs to the image; nil where that was not asked for.
	Referrers []Referrer `json:"referrers"`
	// Error says why the manifest or the config could not be had.
	Error string `json:"error"`
	// Descriptor is the entry as it stands in the index, nil where there is
	// none; Document are the manifest's exact bytes, nil where not read.
	Descriptor json.RawMessage `json:"descriptor"`
	Document   json.RawMessage `json:"document"`

	entry ocispec.Descriptor
}

// Verdict is what was found about a candidate; see
// [platform.Verdict].
type Verdict struct {
	Accepted bool `json:"accepted"`
	// Rank is its place among the accepted, from 1; 0 was refused.
	Rank   int    `json:"rank"`
	Reason string `json:"reason"`
}

// Config is an image's config.
type Config struct {
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	// Document are the exact bytes, nil where they were not read.
	Document json.RawMessage `json:"document"`
}

// Layer is one layer, or one blob of an artifact.
type Layer struct {
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	// DiffID is the digest of the tar stream in it, "" where the config was
	// not read.
	DiffID      digest.Digest     `json:"diffID"`
	Annotations map[string]string `json:"annotations"`
	// Foreign is true for a layer that may be missing where its image is; URLs
	// are where else it is, at most 16, as their author wrote them.
	Foreign bool     `json:"foreign"`
	URLs    []string `json:"urls"`
}
