// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// The suffixes of cosign's tags for what belongs to an image, see
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
const (
	TagSignature   = ".sig"
	TagAttestation = ".att"
	TagSBOM        = ".sbom"
)

// ReferrersTag returns the fallback tag of a digest, whose index lists the referrers of
// the digest in a registry without the API, see
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
// It returns "" for what is no digest by sha256 or sha512.
func ReferrersTag(of digest.Digest) string {
	if _, err := parseDigest(string(of)); err != nil {
		return ""
	}
	const most = 64
	hex := of.Encoded()
	return of.Algorithm().String() + "-" + hex[:min(len(hex), most)]
}

// CosignTag returns cosign's tag with the suffix for a digest. It returns "" for what is
// no digest by sha256.
func CosignTag(of digest.Digest, suffix string) string {
	if _, err := parseDigest(string(of)); err != nil || of.Algorithm() != digest.SHA256 {
		return ""
	}
	return "sha256-" + of.Encoded() + suffix
}

// AttachedTo returns the digest of which tag is the [ReferrersTag] or a [CosignTag]. ok is
// false for any other tag, and for tags of digests by sha512.
func AttachedTo(tag string) (of digest.Digest, ok bool) {
	hex, found := strings.CutPrefix(tag, "sha256-")
	if !found {
		return "", false
	}
	for _, suffix := range []string{TagSignature, TagAttestation, TagSBOM} {
		if rest, cut := strings.CutSuffix(hex, suffix); cut {
			hex = rest
			break
		}
	}
	of, err := parseDigest("sha256:" + hex)
	return of, err == nil
}
