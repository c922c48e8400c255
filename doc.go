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
// Only this package joins the parts, each of which does one job: registry turns
// a reference into verified bytes, cache keeps bytes that will be needed again,
// manifest decodes them, platform chooses an image, unpack makes a lower directory
// of a layer, overlaystore keeps lower directories, overlaymount mounts them,
// rootfs reads an image as an fs.FS, and inspect describes what a reference holds.
//
// # Promises
//
// A pull that returns without an error has verified every byte against the
// digests that the reference leads to, and what it wrote survives a power cut.
// A pull that fails leaves nothing visible, and the next pull reuses the layers
// that the failed one had finished. A reference with a digest is as trustworthy
// as the digest; a tag means what its registry says at that moment.
//
// # Not promised
//
// Signatures are checked only where [Options.Trust] asks for them, and only with
// public keys; see package trust. Nothing here judges what an image's programs
// do: a program that runs from a mount needs the isolation of a container runtime.
package layerctl
