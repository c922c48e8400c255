// SPDX-License-Identifier: Apache-2.0

// Package layerctl brings container images into a store of overlayfs lower
// directories, chosen for a platform, verified and durable.
//
// Most callers want a [Client] and a store, and [Client.Pull]:
//
//	store, err := overlaystore.Open(ctx, "/var/lib/layerctl", overlaystore.Options{})
//	…
//	defer store.Close()
//	pulled, err := layerctl.New(layerctl.Options{}).Pull(ctx, store, "alpine:3.20")
//	…
//	mount, err := overlaymount.Assemble(ctx, store, pulled.Image, overlaymount.Options{})
//	…
//	line, err := mount.Line("/mnt")
//
// It is the only package that joins the parts, each of which does one job:
// registry turns a reference into verified bytes, cache keeps those that will
// be asked for again, manifest says what they mean, platform chooses, unpack
// makes a lower directory of a layer, overlaystore keeps those, overlaymount mounts
// them, rootfs reads an image as an fs.FS, and inspect says what it holds.
//
// # Promises
//
// A pull that returns without an error has verified every byte against the
// digests that the reference leads to, and what it wrote survives a power cut.
// A pull that fails leaves nothing visible, and the next one takes up the layers
// that it had finished. A digest-pinned reference is as
// trustworthy as the digest; a tag is what its registry says at that moment.
//
// # Not promised
//
// Signatures are read where [Options.Trust] asks for them, and by public keys
// only; see package trust. Nothing is said about what an image's programs do. The store's mounts are the kernel's: a program that runs from one needs
// the isolation that a container runtime gives.
package layerctl
