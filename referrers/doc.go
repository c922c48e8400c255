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
// A digest costs one request for the list and three HEADs for cosign's tags, or
// two more requests once for a registry without the API; with [Options.Kinds]
// only the tags that can hold one are asked for, and read at once. Each
// manifest that is found costs one more, unless [Options.Brief] is set.
//
// # Not promised
//
// Nothing is verified but digests and that a manifest names its subject:
// kinds, times and who made it are what the author claims. Strings are whatever
// their author wrote; quote them to print them.
package referrers
