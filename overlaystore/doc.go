// SPDX-License-Identifier: Apache-2.0

// Package overlaystore keeps image layers on disk as overlayfs lower dirs, or as
// tars with an EROFS index, durably and for many processes at once.
//
// Most callers want [Open] and then [Store.Lookup]; package overlaymount mounts
// the image that it finds:
//
//	s, err := overlaystore.Open(ctx, "/var/lib/layerctl", overlaystore.Options{})
//	img, err := s.Lookup("alpine:latest", platform.Detect(platform.Inputs{}).Wanted())
//	m, err := overlaymount.Assemble(ctx, s, img, overlaymount.Options{})
//	line, err := m.Line("/mnt")
//
// A caller that adds an image takes a [Store.Lease] on all its layers, fills each
// missing layer in a [Staging], and makes these visible together with
// [Store.Commit]; then it adds the image with [Store.PutImage] and a reference to
// it with [Store.Tag].
//
// # Promises
//
// Every layer that is visible in layers/ is complete, was verified by whoever
// sealed it, and is on the disk: there is no "incomplete" flag, no database and
// nothing to recover after a power cut. A reference never names an image that is
// not in the store, and an image never names a layer that is not. The next process
// that opens the store removes what a process that died has left.
//
// Nothing is promised on a filesystem that lies about sync, or for files that
// somebody changes beneath the store; [Store.Verify] finds such changes. Prune
// finds mounts in /proc, so it does not see those in mount namespaces that no
// process is in or that the caller may not look into, nor lazily unmounted ones.
// It finds mounts of fuse-overlayfs by the arguments of that program's process.
//
// # The store on disk
//
// Package internal/storedirs specifies the directories and files of formats 1 and
// 2 and the order in which they are written; package internal/journal specifies
// the encoding of files.zst.
package overlaystore
