// SPDX-License-Identifier: Apache-2.0

// Package trust decides whether a policy accepts an image: yes, and by whose signature,
// or no, and why.
//
//	policy, err := trust.Usual()              // the policy.json of this machine
//	…
//	policy, err = policy.And(trust.ByKeys("cosign.pub"))
//	…
//	verdict, err := policy.Judge(ctx, image)
//
// A [Policy] is a containers-policy.json(5), which podman, skopeo and CRI-O read too, or a
// list of public keys, or both; then both must accept the image. Signatures are those of
// cosign by a key: simple signing, and the sigstore bundle 0.3 with a message signature
// or a DSSE envelope.
//
// # Promises
//
// What is not understood is refused: a policy with an unknown member, a requirement of
// OpenPGP or certificates, a signature of another form. A signature counts if one of the
// keys made it for the manifest of the image, or for the index from which that was
// chosen. If a policy restricts the name under which the image was signed, a signature
// without a name does not count.
//
// No host is asked but the registry, and no clock and no transparency log is read. So a
// stolen key is good until the policy no longer names it, and a registry may offer an
// older image that was signed.
package trust
