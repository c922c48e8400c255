// SPDX-License-Identifier: Apache-2.0

// Package sigstore reads the two forms in which sigstore's signatures of images
// lie beside them, and verifies them by public keys alone: no certificate, no
// transparency log, no clock.
//
// A simple signing ([Simple]) is a JSON payload that names the digest and the
// reference, and a signature over its bytes:
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md.
//
// A bundle ([Bundle]) of version 0.3 is a signature over the bytes of the
// manifest, or a DSSE envelope around an in-toto statement whose subject is the
// digest: https://github.com/sigstore/protobuf-specs,
// https://github.com/secure-systems-lab/dsse. It names no reference. A statement
// counts where its predicate says that the image was signed: what somebody
// attests of an image, a scan that failed, is no consent to run it.
package sigstore
