// SPDX-License-Identifier: Apache-2.0

// Package sigstore reads the two forms of sigstore's signatures of images and verifies
// them by public keys alone, without certificates, transparency logs and the clock.
//
// A simple signing ([Simple]) is a JSON payload with the digest and the reference, and a
// signature of its bytes:
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md.
//
// A bundle ([Bundle]) of version 0.3 is a signature of the manifest's bytes, or a DSSE
// envelope around an in-toto statement whose subject is the digest:
// https://github.com/sigstore/protobuf-specs,
// https://github.com/secure-systems-lab/dsse. It has no reference. A statement counts only
// if its predicate type says that the image is signed: other statements, such as the
// report of a failed scan, are no consent to run the image.
package sigstore
