// SPDX-License-Identifier: Apache-2.0

// Package trust says of an image whether a policy lets it in: yes, and by whose
// signature, or no, and why.
//
//	policy, err := trust.Usual()              // the policy.json of this machine
//	…
//	policy, err = policy.And(trust.ByKeys("cosign.pub"))
//	…
//	verdict, err := policy.Judge(ctx, image)
//
// A [Policy] is a containers-policy.json(5), the file that podman, skopeo and
// CRI-O go by, a list of public keys, or both; then both must say yes. Signatures
// are those of cosign, by key: simple signing, and the sigstore bundle 0.3 with a
// message signature or a DSSE envelope.
//
// # Promises
//
// What is not understood refuses: a policy with a member that is not known, a
// requirement by OpenPGP or certificates, a signature of another form. A
// signature counts where one of the keys made it over the bytes of the image's
// manifest, or of the index that it was chosen from; where a policy asks what the
// image was called when it was signed, a signature that cannot say does not
// count.
//
// No host is asked but the registry, no clock is read, and no transparency log:
// a key that was stolen is good until the policy no longer names it, and a
// registry may show an older image that was signed.
package trust
