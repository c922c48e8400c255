// SPDX-License-Identifier: Apache-2.0

package referrers

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
)

// Kind is the kind of an attachment, as its author claims it.
type Kind string

// The kinds.
const (
	Signature   Kind = "signature"
	SBOM        Kind = "sbom"
	Provenance  Kind = "provenance"
	Attestation Kind = "attestation" // any other in-toto statement
	Artifact    Kind = "artifact"    // anything else that names the image as its subject
)

// Place is where an attachment was found.
type Place string

// The places.
const (
	InIndex    Place = "index"        // BuildKit's attestation manifests in the image's index
	ByAPI      Place = "referrers"    // the referrers API of a registry, or the search of a layout
	ByFallback Place = "fallback tag" // the index at the fallback tag sha256-…
	ByTag      Place = "tag"          // cosign's tags sha256-….sig, .att and .sbom
)

// Attachment is one signature or document. A manifest with several of them is several
// attachments. Where the manifest was not read, only Kind, Form, Type, PredicateType,
// Created, Place, Tag and Manifest are set, as far as the list of referrers has them.
type Attachment struct {
	Kind Kind
	// Form is the format in which a signature or document is wrapped: "cosign",
	// "sigstore bundle", "DSSE envelope", "in-toto statement", "notation"; "" where it
	// is not known.
	Form string
	// Type is the artifact type, or else the media type of the blob.
	Type string
	// PredicateType is the predicate type of an attestation; "" where it names none.
	PredicateType string
	Created       string // the time in RFC 3339, as its author claims; "" where it has none
	// Claimed is who made it, as its author claims: the identity in a certificate, or
	// the certificate's thumbprint; "" where nobody is named, as with a key alone.
	Claimed string
	Place   Place
	Tag     string // the tag where it was found; "" for places that are no tag
	// Manifest describes the manifest with the attachment, and Document is its content;
	// nil where it was not read.
	Manifest ocispec.Descriptor
	Document *manifest.Manifest
	// Blob describes the signature or document itself, with its annotations in the
	// manifest. It has no digest where the manifest was not read, or has several blobs
	// of no known type.
	Blob ocispec.Descriptor
	// Err says why the manifest could not be read, or that it does not belong to the
	// image; nil where neither is so.
	Err error
	// Below lists the signatures of the attachment itself; see [Options.Below].
	Below []Attachment
}

// Size returns the size in bytes of the signature or document, or else of its manifest.
func (a *Attachment) Size() int64 {
	if a.Blob.Digest != "" {
		return a.Blob.Size
	}
	return a.Manifest.Size
}
