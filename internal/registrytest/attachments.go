// SPDX-License-Identifier: Apache-2.0

package registrytest

import (
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// Predicates of the attestations that [Attach] makes.
const (
	PredicateSPDX = "https://spdx.dev/Document"
	PredicateSLSA = "https://slsa.dev/provenance/v1"
)

// Attach adds to a registry what tools attach to an image, all four kinds, and
// returns the index over the image and BuildKit's attestations of it:
//
//   - BuildKit's SBOM and provenance, in the index
//   - notation's signature, and an SBOM, by their subject
//   - cosign 3's bundle, by its subject
//   - cosign's signature and SBOM under their tags
//   - cosign's signature of the SBOM that has a subject
func Attach(r *Registry, image ocispec.Descriptor) (index ocispec.Descriptor) {
	blob := func(mediaType, text string, annotations ...string) ocispec.Descriptor {
		d := r.Add(mediaType, []byte(text))
		d.Annotations = pairs(annotations)
		return d
	}
	statement := func(predicate, text string) ocispec.Descriptor {
		body := imagetest.JSON(map[string]any{
			"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate, "predicate": map[string]string{"says": text},
			"subject": []any{map[string]any{"name": "image", "digest": map[string]string{"sha256": image.Digest.Encoded()}}},
		})
		return blob("application/vnd.in-toto+json", string(body), "in-toto.io/predicate-type", predicate)
	}
	attestation := r.Attachment(nil, "", nil, nil, statement(PredicateSPDX, "these packages"), statement(PredicateSLSA, "so it was built"))
	attestation.Annotations = pairs([]string{"vnd.docker.reference.type", "attestation-manifest", "vnd.docker.reference.digest", image.Digest.String()})
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}

	r.Attachment(&image, "application/vnd.cncf.notary.signature", nil,
		[]string{"io.cncf.notary.x509chain.thumbprint#S256", `["c0ffee"]`, ocispec.AnnotationCreated, "2026-01-02T03:04:05Z"},
		blob("application/jose+json", "{}"))
	sbom := r.Attachment(&image, "application/spdx+json", nil, []string{ocispec.AnnotationCreated, "2026-01-03T03:04:05Z"},
		blob("application/spdx+json", `{"spdxVersion":"SPDX-2.3"}`))
	r.Attachment(&image, "application/vnd.dev.sigstore.bundle.v0.3+json", nil,
		[]string{"dev.sigstore.bundle.content", "dsse-envelope", "dev.sigstore.bundle.predicateType", "https://sigstore.dev/cosign/sign/v1"},
		blob("application/vnd.dev.sigstore.bundle.v0.3+json", "{}"))
	r.Attachment(nil, "", []string{CosignTag(image, ".sig")}, nil,
		blob("application/vnd.dev.cosign.simplesigning.v1+json", "{}", "dev.cosignproject.cosign/signature", "c2lnbmVk"))
	r.Attachment(nil, "", []string{CosignTag(image, ".sbom")}, nil, blob("text/spdx+json", `{"spdxVersion":"SPDX-2.2"}`))
	r.Attachment(nil, "", []string{CosignTag(sbom, ".sig")}, nil,
		blob("application/vnd.dev.cosign.simplesigning.v1+json", "{ }", "dev.cosignproject.cosign/signature", "c2lnbmVkIHRvbw=="))

	return r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{image, attestation},
	}))
}

// CosignTag is the tag under which cosign keeps what belongs to an image.
func CosignTag(image ocispec.Descriptor, suffix string) string {
	return strings.ReplaceAll(image.Digest.String(), ":", "-") + suffix
}

// Attachment adds a manifest over blobs that are there, of an artifact type, to
// a subject; annotations are pairs of key and value.
func (r *Registry) Attachment(subject *ocispec.Descriptor, artifactType string, tags, annotations []string, blobs ...ocispec.Descriptor) ocispec.Descriptor {
	config := r.Add(ocispec.MediaTypeImageConfig, []byte(`{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}`))
	if artifactType != "" {
		config = r.Add(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	}
	if subject != nil {
		subject = &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	}
	return r.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: config, Layers: blobs, Subject: subject, Annotations: pairs(annotations),
	}), tags...)
}

func pairs(list []string) map[string]string {
	if len(list) == 0 {
		return nil
	}
	m := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}
