// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Index is an OCI index or a Docker manifest list.
type Index struct {
	SchemaVersion int    `json:"schemaVersion"`
	MediaType     string `json:"mediaType"`
	ArtifactType  string `json:"artifactType"`
	// Manifests has the entries in their order, with valid digests and sizes. Their
	// urls are dropped.
	Manifests   []ocispec.Descriptor `json:"manifests"`
	Subject     *ocispec.Descriptor  `json:"subject"`
	Annotations map[string]string    `json:"annotations"`
	// Raw has the exact bytes.
	Raw []byte `json:"-"`
}

// ParseIndex decodes and checks an index. mediaType is the type as which it was served or
// described, "" if that is not known; the document may name another one within the rules
// of [AgreeMediaType]. Index.MediaType is set even if the document has none. Errors:
// [ErrMalformed] and [ErrUnsupported].
func ParseIndex(raw []byte, mediaType string) (*Index, error) {
	x, err := parseIndex(raw, mediaType)
	if err != nil {
		return nil, fmt.Errorf("parse index: %w", err)
	}
	return x, nil
}

func parseIndex(raw []byte, mediaType string) (*Index, error) {
	t, err := outline(raw, mediaType)
	if err != nil {
		return nil, err
	}
	if !IsIndex(t) {
		return nil, malformed{fmt.Errorf("is a manifest, %s", t)}
	}
	x := &Index{Raw: raw}
	if err := decode(raw, MaxManifestSize, x); err != nil {
		return nil, err
	}
	x.MediaType = t
	seen := sizes{}
	for i := range x.Manifests {
		if err := check(&x.Manifests[i]); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		if err := seen.check(x.Manifests[i]); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return x, checkSubject(x.Subject)
}

func checkSubject(d *ocispec.Descriptor) error {
	if d == nil {
		return nil
	}
	if err := check(d); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	return nil
}

// BuildKit's annotations of an attestation in an index, see
// https://docs.docker.com/build/metadata/attestations/attestation-storage/.
const (
	annotationReferenceType   = "vnd.docker.reference.type"
	annotationReferenceDigest = "vnd.docker.reference.digest"
	typeAttestation           = "attestation-manifest"
)

// IsAttestation reports whether an entry of an index is an attestation by BuildKit. of is
// the digest of the manifest that it is about, as the author wrote it; "" if it has none.
func IsAttestation(d ocispec.Descriptor) (of string, ok bool) {
	if d.Annotations[annotationReferenceType] != typeAttestation {
		return "", false
	}
	return d.Annotations[annotationReferenceDigest], true
}
