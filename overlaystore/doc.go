// SPDX-License-Identifier: Apache-2.0

// Package overlaystore keeps image layers on disk as overlayfs lower dirs,
// durably, for many processes at once, and mounts them.
//
// Most callers want [Open], then [Store.Lookup], [Store.Assemble] and
// [Mount.Line] to mount an image that is there:
//
//	s, err := overlaystore.Open(ctx, "/var/lib/layerctl", overlaystore.Options{})
//	img, err := s.Lookup("docker.io/library/alpine:latest", platform.Detect(platform.Inputs{}).Wanted())
//	m, err := s.Assemble(ctx, img, overlaystore.MountOptions{})
//	line, err := m.Line("/mnt")
//
// A caller that brings an image takes a [Store.Lease] on all its layers, fills each that
// is missing in a [Staging], makes them visible together with [Store.Commit],
// and then the image with [Store.PutImage] and [Store.Tag].
//
// # Promises
//
// What is visible in layers/ is complete, was verified by whoever sealed it,
// and is on the disk: there is no "incomplete" flag, no database and nothing
// to recover after a power cut. A reference never names an image that is not
// there, an image never a layer that is not. What a process that died has left
// is cleared away by the next.
//
// Not promised: anything on a filesystem that lies about sync, or for files
// that somebody changes beneath the store; [Store.Verify] finds that. Prune
// knows mounts by /proc, so not those in mount namespaces that no process is
// in or that the caller may not look into, nor lazily unmounted ones; those of
// fuse-overlayfs it knows by the arguments of that process.
//
// # The store on disk
//
// Package internal/storedirs specifies its directories and files, formats 1 and
// 2, and in which order they are written, and package internal/journal the encoding of files.zst.
package overlaystore
