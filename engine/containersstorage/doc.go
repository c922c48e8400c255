// SPDX-License-Identifier: Apache-2.0

// Package containersstorage gives images of a store to podman, buildah, skopeo
// and CRI-O, as an additional image store that those read and never write
// (containers-storage.conf(5), additionalimagestores).
//
// Most callers want [Open] and [Store.Give]:
//
//	to, err := containersstorage.Open(ctx, dir, containersstorage.Options{})
//	given, err := to.Give(ctx, store, containersstorage.Image{
//		Image: image, Names: []string{"docker.io/library/alpine:3.20"},
//		Manifest: manifest, Config: config,
//	})
//
// [Store.Take] takes an image back, and [Store.Prune] what its engine did not
// let go of then. [Store.Renew] follows a repair of the store.
//
// # Promises
//
// Layers are hard links to those of the store wherever links can go, so that a
// second copy costs directories. What images.json names is complete and on the
// disk: layers are written back by one syncfs before layers.json names them,
// and images.json is the last to be written. Removal goes the other way round.
// What a process that died has left is cleared away by the next.
//
// The records are those of containers/storage: ids, digests, locks and all, so
// that a later pull by podman finds the layers here, and fetches none of them.
// A container that is made at the same time finds its image or does not; a layer
// that a container stands on, running or stopped, is not removed. Containers
// are looked for in the graph roots of [Options].
//
// # Not promised
//
// What would rebuild a layer's tar bit by bit (tar-split) is not written: podman
// push and podman save of such an image fail, and so does a check of digests.
// The package registry pushes what is in the store's cache instead. Containers
// in graph roots that nobody has told of are not known. Stores with squashed
// owners or whiteouts by attribute are refused with [overlaystore.ErrUnsupported]: podman
// could run from them, but not build on them.
//
// # The directory
//
// Names in <> stand for: id, 64 hexadecimal digits that name a layer or an
// image; link, 26 characters that are made of a layer's id.
//
//	overlay/<id>/diff/             a layer: its lower directory, as links
//	overlay/<id>/link              <link>
//	overlay/<id>/lower             the links of all layers below, the topmost first
//	overlay/<id>/lower-layers      their ids, for newer versions
//	overlay/l/<link>               symbolic link to ../<id>/diff
//	overlay-layers/layers.json     all layers
//	overlay-layers/layers.lock     fcntl(2); 64 bytes that change before layers.json does
//	overlay-images/images.json     all images, and images.lock
//	overlay-images/<id>/           manifest and config of an image, by the digest of its config
//	layerctl.json                  {"format":1}: the directory is this package's
//	layerctl.lock                  flock, held by who changes anything
//	layerctl-staging/              what is being made or removed
//	    held-<id>-<rand>/          a layer's lower directory that was renewed, for what is mounted of it
//
// A layer's id is its diffID for the lowest one, and else the sha256 of the id
// below, "+" and the diffID. A fix layer is a layer of its own on top, so that
// what lies under it stays what its digest says and serves other images too; its
// own digest is its id, which is no tar's. A layer with an opaque root has no parent.
package containersstorage
