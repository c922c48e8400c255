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
// Whoever wrote the bytes is not trusted. A document means what every reader
// takes it to mean or it is refused: no key twice, none in another case, no
// trailing data, no index that is a manifest as well (CVE-2021-41190), one
// media type. Digests are sha256 or sha512 in lower-case hex and sizes are not
// negative once a document has been parsed. Fields that are not known here are
// kept in Raw, the exact bytes.
//
// # Not promised
//
// Nothing is fetched and nothing is hashed but embedded data: that bytes have
// the digest they were asked for by is the caller's to verify, before it calls.
// Strings such as annotations, labels, users and environments are whatever
// their author wrote; quote them to print them.
package manifest
