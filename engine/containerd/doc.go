// SPDX-License-Identifier: Apache-2.0

// Package containerd gives images of a store to containerd, so that what it
// serves can start containers from them: Kubernetes, k3s, Docker, nerdctl, ctr.
//
//	e, err := containerd.Connect(ctx, containerd.Options{})
//	given, err := e.Give(ctx, store, containerd.Image{…}, containerd.GiveOptions{})
//
// It is a plain client of containerd's socket. Each layer that containerd lacks
// becomes a snapshot of containerd's snapshotter overlayfs, under its chainID,
// filled with hard links to the store's files: nothing is unpacked again, no
// compressed layer is written, no configuration changes, and no other program has
// to run. Afterwards containerd has what it has after a pull of its own that discards
// the layers' blobs.
//
// The snapshotter erofs ([Erofs]) gets the layers of a store of tars as they are: each
// snapshot has a link to the layer's file, which internal/tarlayer makes a filesystem
// for that, and the topmost snapshot also a link to the index of the image.
//
// [Engine.Ahead] gives the layers of an image while it is still being pulled.
// [Engine.Hold] says which layers need not be pulled to hand an image over, because
// the engine has them.
//
// # Promises
//
//   - A snapshot is committed only once its files are on the disk, also by
//     [Engine.Ahead]. The engine's collector removes snapshots that no image has got.
//   - An image is named only once all of it, its documents too, is in the engine and
//     on the disk. What an interrupted call has left is under a lease, which ends with
//     the next call or [Engine.Clear], or expires.
//   - At any moment, also after a power cut, a renewed layer is the old or the new one.
//   - Images that another client has named are never changed or removed.
//
// Refused, with an error that says why: other snapshotters than these two, engines
// in a user namespace or in another mount namespace, and stores whose files are not
// as overlayfs wants them for root.
//
// The labels are those of containerd's own client: see
// docs/garbage-collection.md and core/unpack in github.com/containerd/containerd.
package containerd
