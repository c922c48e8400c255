// SPDX-License-Identifier: Apache-2.0

// Package manifest decodes, classifies and checks the JSON documents of an
// image: index, manifest and config, in OCI's form and in Docker's.
//
// Most callers want [Classify] on bytes whose digest is verified, then
// [ParseIndex] or [ParseImage], [ParseConfig], and [PairLayers]:
//
//	switch kind, err := manifest.Classify(mediaType, raw); kind {
//	case manifest.KindIndex:
//		index, err := manifest.ParseIndex(raw, mediaType)
//	case manifest.KindImage:
//		image, err := manifest.ParseImage(raw, mediaType)
//	}
//
// The author of the bytes is not trusted. A document that readers may understand
// differently is refused: one with a key that comes twice or in another case, with data
// behind it, with fields of both an index and a manifest (CVE-2021-41190), or with two
// media types. In a parsed document all digests are sha256 or sha512 in lower-case hex, and
// no size is negative. Unknown fields are kept in Raw, the exact bytes.
//
// # Not promised
//
// Nothing is fetched, and nothing is hashed but embedded data: the caller must verify the
// digest of the bytes before. Strings such as annotations, labels, users and environments
// may have any content; quote them before you print them.
package manifest
