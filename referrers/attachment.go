// SPDX-License-Identifier: Apache-2.0

package referrers

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
)

// Kind is what an attachment is of, by what its author says.
type Kind string

// The kinds.
const (
	Signature   Kind = "signature"
	SBOM        Kind = "sbom"
	Provenance  Kind = "provenance"
	Attestation Kind = "attestation" // any other
	Artifact    Kind = "artifact"    // anything else that names the image as its subject
)

// Place is where an attachment was found.
type Place string

// The places.
const (
	InIndex    Place = "index"        // BuildKit's attestation manifests
	ByAPI      Place = "referrers"    // a registry's list of referrers, or a layout's own
	ByFallback Place = "fallback tag" // the index that the tag sha256-… names
	ByTag      Place = "tag"          // cosign's sha256-….sig, .att, .sbom
)

// Attachment is one signature or one document: a manifest that holds several is
// as many attachments. Of one that was not read only Kind, Type, Created, Place,
// Tag and Manifest are known, as far as the list of them says.
type Attachment struct {
	Kind Kind
	// Form is what a signature or document is wrapped in: "cosign", "sigstore
	// bundle", "DSSE envelope", "in-toto statement", "notation"; "" is nothing
	// that is known.
	Form string
	// Type is the artifact type, or else the media type of the blob.
	Type string
	// PredicateType is what an attestation states, "" where it does not say.
	PredicateType string
	Created       string // in RFC 3339, as its author says; "" where not
	// Claimed is who says to have made it: the identity in a certificate, or the
	// certificate's thumbprint; "" where nobody is named, as by a bare key.
	Claimed string
	Place   Place
	Tag     string // where Place is a tag
	// Manifest describes the manifest that holds it, and Document is that; nil
	// where it was not read.
	Manifest ocispec.Descriptor
	Document *manifest.Manifest
	// Blob describes the signature or document itself, with the annotations that
	// it has in the manifest; it has no digest where that was not read.
	Blob ocispec.Descriptor
	// Err is why it cannot be believed to belong to the image, or to be there.
	Err error
	// Below are the signatures of the attachment itself; see [Options.Below].
	Below []Attachment
}

// Size is the size in bytes of the signature or document, or of its manifest
// where that was not read.
func (a *Attachment) Size() int64 {
	if a.Blob.Digest != "" {
		return a.Blob.Size
	}
	return a.Manifest.Size
}
