// SPDX-License-Identifier: Apache-2.0

package referrers

import (
	"maps"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
)

// The media types and annotations of the tools that make attachments.
const (
	typeSimpleSigning = "application/vnd.dev.cosign.simplesigning." // cosign's signature
	typeBundle        = "application/vnd.dev.sigstore.bundle"       // sigstore's, of any version
	typeDSSE          = "application/vnd.dsse.envelope."            // an envelope around a statement
	typeInToto        = "application/vnd.in-toto"                   // a statement by itself
	typeNotation      = "application/vnd.cncf.notary.signature"     // notation's signature
	typeCosignConfig  = "application/vnd.dev.cosign.artifact."      // cosign 2 with OCI 1.1
	keyPredicate      = "in-toto.io/predicate-type"                 // BuildKit, in-toto
	keyDSSEPredicate  = "predicateType"                             // cosign
	keyBundlePred     = "dev.sigstore.bundle.predicateType"         // cosign 3
	keyBundleContent  = "dev.sigstore.bundle.content"               // "message-signature" or "dsse-envelope"
	keyCertificate    = "dev.sigstore.cosign/certificate"           // PEM, of cosign 2
	keyThumbprints    = "io.cncf.notary.x509chain.thumbprint#S256"  // a JSON list, of notation
	predicateSign     = "https://sigstore.dev/cosign/sign/v1"       // cosign 3: nothing but a signature
	contentSignature  = "message-signature"                         // of keyBundleContent
)

// formBundle is the Form of cosign 3, for signatures and attestations.
const formBundle = "sigstore bundle"

// vague has the artifact types that do not tell the kind of an attachment.
var vague = [...]string{"", ocispec.MediaTypeEmptyJSON, ocispec.MediaTypeImageConfig, manifest.DockerConfig, "application/vnd.unknown.config.v1+json"}

// predicateKinds has the kinds of predicate types, by their beginnings.
var predicateKinds = [...]struct {
	prefix string
	kind   Kind
}{
	{"https://spdx.dev/", SBOM},
	{"https://cyclonedx.org/", SBOM},
	{"http://cyclonedx.org/", SBOM},
	{"https://syft.dev/", SBOM},
	{"https://slsa.dev/provenance", Provenance},
	{"https://in-toto.io/Provenance", Provenance},
	{predicateSign, Signature},
}

// sbomTypes has the beginnings of media types of SBOMs that are not wrapped.
var sbomTypes = [...]string{"text/spdx", "application/spdx", "application/vnd.cyclonedx", "application/vnd.syft", "application/vnd.spdx", "spdx+json", "application/sbom"}

// ofPredicate returns the kind of an attestation with a predicate type.
func ofPredicate(predicate string) Kind {
	for _, known := range predicateKinds {
		if strings.HasPrefix(predicate, known.prefix) {
			return known.kind
		}
	}
	return Attestation
}

// kindOf returns the kind, the form and the predicate type of a blob or an artifact, by
// its media type and annotations. The kind is [Artifact] if it is not known.
func kindOf(mediaType string, annotations map[string]string) (k Kind, form, predicate string) {
	for _, key := range []string{keyPredicate, keyDSSEPredicate, keyBundlePred} {
		if predicate == "" {
			predicate = annotations[key]
		}
	}
	k = ofPredicate(predicate)
	switch has := func(prefix string) bool { return strings.HasPrefix(mediaType, prefix) }; {
	case has(typeSimpleSigning):
		return Signature, "cosign", predicate
	case has(typeBundle):
		if annotations[keyBundleContent] == contentSignature || predicate == "" {
			k = Signature
		}
		return k, formBundle, predicate
	case has(typeDSSE):
		return k, "DSSE envelope", predicate
	case has(typeInToto):
		return k, "in-toto statement", predicate
	case has(typeNotation):
		return Signature, "notation", predicate
	case has(typeCosignConfig + "sig"):
		return Signature, "cosign", predicate
	case has(typeCosignConfig + "att"):
		return k, "cosign", predicate
	}
	for _, prefix := range sbomTypes {
		if strings.HasPrefix(mediaType, prefix) {
			return SBOM, "", predicate
		}
	}
	return Artifact, "", predicate
}

// listed makes an attachment of what a list of referrers says of a manifest.
func listed(desc ocispec.Descriptor, place Place, tag string) Attachment {
	a := Attachment{
		Type: desc.ArtifactType, Created: desc.Annotations[ocispec.AnnotationCreated],
		Place: place, Tag: tag, Manifest: desc,
	}
	a.Kind, a.Form, a.PredicateType = kindOf(desc.ArtifactType, desc.Annotations)
	switch {
	case place == InIndex:
		a.Kind = Attestation
	case strings.HasSuffix(tag, manifest.TagSignature):
		a.Kind = Signature
	case strings.HasSuffix(tag, manifest.TagAttestation):
		a.Kind = Attestation
	case strings.HasSuffix(tag, manifest.TagSBOM):
		a.Kind = SBOM
	}
	return a
}

// contents returns the attachments in a manifest: one for each blob that is a signature,
// a statement or an SBOM; if there are none, the artifact as a whole.
func contents(of Attachment, m *manifest.Manifest) []Attachment {
	of.Document = m
	if of.Created == "" {
		of.Created = m.Annotations[ocispec.AnnotationCreated]
	}
	if of.Type == "" {
		of.Type = m.ArtifactType
	}
	var all []Attachment
	for _, blob := range m.Layers {
		a := of
		a.Blob = blob
		var predicate string
		a.Kind, a.Form, predicate = kindOf(blob.MediaType, merged(of.Manifest.Annotations, m.Annotations, blob.Annotations))
		if a.Kind == Artifact {
			continue
		}
		a.PredicateType = predicate
		a.claim(m)
		if a.Type == "" {
			a.Type = blob.MediaType
		}
		all = append(all, a)
	}
	if len(all) > 0 {
		return all
	}
	return []Attachment{whole(of, m)}
}

// whole makes one attachment of a manifest whose blobs have no telling media types, such
// as notation's, whose envelopes are application/jose+json.
func whole(a Attachment, m *manifest.Manifest) Attachment {
	if a.Type == "" {
		a.Type = m.Config.MediaType
	}
	k, form, predicate := kindOf(a.Type, merged(a.Manifest.Annotations, m.Annotations))
	if k != Artifact {
		a.Kind, a.Form, a.PredicateType = k, form, predicate
	}
	if len(m.Layers) == 1 {
		a.Blob = m.Layers[0]
	}
	a.claim(m)
	return a
}

// merged joins annotations. Of several with the same key the last one counts.
func merged(all ...map[string]string) map[string]string {
	sum := map[string]string{}
	for _, annotations := range all {
		maps.Copy(sum, annotations)
	}
	return sum
}
