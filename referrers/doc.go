// SPDX-License-Identifier: Apache-2.0

// Package referrers finds what belongs to an image: signatures, SBOMs,
// provenance and other attestations, in the four places where tools keep them.
//
//	finder := referrers.New(source, referrers.Options{})
//	…
//	attachments, err := finder.Of(ctx, manifest.Digest, index.Manifests)
//
// The places are BuildKit's attestation manifests in the index, the referrers
// API of the OCI distribution specification or its fallback tag, and cosign's
// tags (sha256-….sig, .att, .sbom). notation and cosign 3 use the second.
//
// # Requests
//
// For each digest there is one request for the list of referrers, and a HEAD for each
// of cosign's three tags. A registry without the API is asked for the fallback tag too.
// With [Options.Kinds] only those of the three tags are asked for that can have one of
// the kinds, and by GET. Each manifest that is found takes one request more, unless
// [Options.Brief] is set.
//
// # Not promised
//
// Only digests are verified, and that a manifest from a list of referrers names the
// image as its subject. Kinds, times and identities are what the author claims. Strings
// may have any content; quote them before you print them.
package referrers
