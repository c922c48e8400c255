// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// Suffixes of the tags under which cosign keeps what belongs to an image, see
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
const (
	TagSignature   = ".sig"
	TagAttestation = ".att"
	TagSBOM        = ".sbom"
)

// ReferrersTag is the tag that lists the referrers of a digest where a registry
// does not, see
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
// It is "" for what is no digest of sha256 or sha512.
func ReferrersTag(of digest.Digest) string {
	if _, err := parseDigest(string(of)); err != nil {
		return ""
	}
	const most = 64
	hex := of.Encoded()
	return of.Algorithm().String() + "-" + hex[:min(len(hex), most)]
}

// CosignTag is the tag of what cosign made of a digest, by one of the suffixes.
// It is "" for what is no digest of sha256.
func CosignTag(of digest.Digest, suffix string) string {
	if _, err := parseDigest(string(of)); err != nil || of.Algorithm() != digest.SHA256 {
		return ""
	}
	return "sha256-" + of.Encoded() + suffix
}

// AttachedTo says that a tag is one of [ReferrersTag] or [CosignTag], and of
// which digest of sha256.
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
