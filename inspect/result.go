// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/platform"
)

// version is the version of the JSON of a [Result]. It grows when a key changes its
// meaning or is removed, and not for a new key.
const version = 1

// Result says what a reference holds, in one structure for an index and for a single
// image. docs/inspect.schema.json describes its JSON. Every key is always there; a
// value that is not known, or was not asked for, is "", or null if it is a list, an
// object or a number.
type Result struct {
	SchemaVersion int    `json:"schemaVersion"` // version
	Reference     string `json:"reference"`     // in canonical form
	// Digest, MediaType and Size, in bytes, are those of the index or manifest that
	// the reference names.
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	Kind      string        `json:"kind"` // "index", "image" or "artifact"
	// Annotations are those of the index or manifest.
	Annotations map[string]string `json:"annotations"`
	Host        Host              `json:"host"`
	// Chosen is the digest of the manifest that a pull would take, "" for none.
	Chosen digest.Digest `json:"chosen"`
	// Warnings are what a user should know of the result, one line each.
	Warnings []string `json:"warnings"`
	// Manifests are the index's entries in their order. If the reference names an
	// image or an artifact, that is the only one.
	Manifests []Manifest `json:"manifests"`
	// Referrers is what belongs to the index itself; nil if that was not asked for, or
	// if there is no index.
	Referrers []Referrer `json:"referrers"`
	// Document has the exact bytes of the index or manifest. The JSON of the Result
	// keeps all its values, but not the white space between them.
	Document json.RawMessage `json:"document"`

	refusal  error
	attached []byte
}

// Attached returns the document that [Options.Document] names, verified by its digest.
// Of an attestation it is the predicate. Nobody verified what the document says.
func (i *Result) Attached() []byte { return i.attached }

// Refusal returns why a pull would take nothing: a [*platform.NoMatchError] if nothing
// fits, a [*manifest.ArtifactError] if it is no image, or the fault of a nested index.
// It is nil if Chosen is set.
func (i *Result) Refusal() error { return i.refusal }

// Host is the machine, or the platform, that an image was chosen for.
type Host struct {
	Platform Platform `json:"platform"`
	// Named is true if somebody named the platform, so that the facts about this
	// machine do not count.
	Named bool `json:"named"`
	// Other is a second platform, which is accepted if no image is for Platform; nil
	// for none.
	Other *Platform `json:"other"`
	Facts []Fact    `json:"facts"`
	// Warning says what is doubtful about Platform, "" for nothing.
	Warning string `json:"warning"`
}

// Fact is one thing that is known about the machine, and where it was read; see
// [platform.Fact].
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

// Manifest is an entry of an index, or the manifest that the reference names.
type Manifest struct {
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	// Kind is "image", "index", "attestation" or "artifact": by the manifest, or if
	// that was not read by the index.
	Kind string `json:"kind"`
	// Platform is that of the index's entry; for an entry without one, and a single
	// image, that of its config; nil for none, or where that was not read.
	Platform *Platform `json:"platform"`
	// Artifact says in words what an artifact is, such as "Helm chart". ArtifactType
	// is its media type by the index or the manifest.
	Artifact     string `json:"artifact"`
	ArtifactType string `json:"artifactType"`
	// AttestationOf is the digest of the manifest that an attestation is about.
	AttestationOf string `json:"attestationOf"`
	// Annotations are those of the index's entry, ManifestAnnotations those of the
	// manifest itself.
	Annotations         map[string]string `json:"annotations"`
	ManifestAnnotations map[string]string `json:"manifestAnnotations"`
	Chosen              bool              `json:"chosen"`
	// Verdict is nil for an index, whose entries have one each, and if nothing could
	// be chosen.
	Verdict *Verdict `json:"verdict"`
	// Config, CompressedSize and Layers are nil if the manifest was not read. Layers
	// are in their order, the lowest first.
	Config *Config `json:"config"`
	// CompressedSize is the sum of the sizes of the blobs of the layers, in bytes. A
	// blob that is several layers counts once.
	CompressedSize *int64  `json:"compressedSize"`
	Layers         []Layer `json:"layers"`
	// Created is when the image was made, in RFC 3339: by its config, or if that was
	// not read by the annotation org.opencontainers.image.created.
	Created string `json:"created"`
	// Manifests are the entries of a nested index; nil for anything else.
	Manifests []Manifest `json:"manifests"`
	// Referrers is what belongs to the image; nil if that was not asked for.
	Referrers []Referrer `json:"referrers"`
	// Error says why the manifest or the config could not be read.
	Error string `json:"error"`
	// Descriptor is the entry as it is in the index, nil if there is no index.
	// Document has the exact bytes of the manifest, nil if it was not read.
	Descriptor json.RawMessage `json:"descriptor"`
	Document   json.RawMessage `json:"document"`

	entry ocispec.Descriptor
}

// Verdict says whether a pull may take a manifest, and why; see [platform.Verdict].
type Verdict struct {
	Accepted bool `json:"accepted"`
	// Rank is its place among those that are accepted, from 1; 0 if it is refused.
	Rank   int    `json:"rank"`
	Reason string `json:"reason"`
}

// Config is an image's config.
type Config struct {
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	// Document has the exact bytes, nil if they were not read.
	Document json.RawMessage `json:"document"`
}

// Layer is one layer, or one blob of an artifact.
type Layer struct {
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	// DiffID is the digest of the layer's uncompressed tar, "" if the config was not
	// read.
	DiffID      digest.Digest     `json:"diffID"`
	Annotations map[string]string `json:"annotations"`
	// Foreign is true for a layer that the image's registry need not have. URLs are
	// other places for it, at most 16, as their author wrote them.
	Foreign bool     `json:"foreign"`
	URLs    []string `json:"urls"`
}
