// SPDX-License-Identifier: Apache-2.0

// Package containerd gives images of a store to containerd, so that what it
// serves can start containers from them: Kubernetes, k3s, Docker, nerdctl, ctr.
//
//	e, err := containerd.Connect(ctx, containerd.Options{})
//	given, err := e.Give(ctx, store, containerd.Image{…}, containerd.GiveOptions{})
//
// It is a plain client of containerd's socket. Each layer that containerd lacks
// becomes a snapshot of its own snapshotter overlayfs, under its chainID,
// filled with hard links to the store's files: nothing is unpacked again, no
// compressed layer is written, no configuration changes, and nothing has to be
// running besides. What containerd has afterwards is what it has after a pull
// of its own without the layers' blobs.
//
// The snapshotter erofs ([Erofs]) gets the layers of a store of tars as they are: each
// snapshot has a link to the layer's file, which package tarlayer makes a
// filesystem for that, and the topmost one to the index of the image.
//
// [Engine.Ahead] gives the layers of an image while it is still being pulled.
// [Engine.Hold] says which need not be pulled where the engine is to own the image,
// for it has them: they are taken as they are there.
//
// # Promises
//
//   - A snapshot is committed once its files are on the disk.
//   - That holds ahead of the end of a pull too: what its end has not named the
//     engine collects.
//   - An image is named once all of it is there and on the disk, its documents
//     too. Whatever an interrupted call has left is under a lease, which the next
//     call ends, or its expiry.
//   - A layer that is renewed is the old one or the new one at any moment, also
//     after a power cut.
//   - Records of images that another client made are never changed or removed.
//
// Not served, with an error that says why: other snapshotters than these,
// engines in a user namespace or in another mount namespace, and stores whose
// files are not as overlayfs wants them for root.
//
// The labels are those of containerd's own client: see
// docs/garbage-collection.md and core/unpack in github.com/containerd/containerd.
package containerd
