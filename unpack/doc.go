// SPDX-License-Identifier: Apache-2.0

// Package unpack turns one compressed layer into one lower directory of
// overlayfs, or tells without a disk what that would hold.
//
// Most callers want [Layer]:
//
//	dir, err := os.Open("staging/fs") // empty
//	…
//	result, err := unpack.Layer(ctx, dir, blob, unpack.Source{
//		MediaType: desc.MediaType,
//		DiffID:    diffID,
//	}, unpack.Options{})
//
// [Read] returns the same journal and result, and the content of files that are
// asked for, and writes nothing: it unpacks onto a disk that is a tree in memory,
// so that one piece of code decides what a layer means.
//
// # What is written
//
// The directory that comes out depends on the layer alone, so it means the same
// wherever it stands in a stack. Whiteouts and opaque marks are applied by their
// meaning, not by the order of entries (image-spec, layer.md, "Whiteouts"):
//
//   - a name that the layer both deletes and makes is made; if it is a directory,
//     it hides all that lower layers have in it ([layer.Replaced]);
//   - no whiteout stands in what an opaque directory hides;
//   - nothing in the image becomes a mark by itself: devices 0/0 and overlay.*
//     attributes of the tar are left out.
//
// [Result] lists what a single layer cannot settle: attributes of directories
// that have no entry, whiteouts that would be listed where there is nothing to
// hide, hardlinks into lower layers, an opaque root.
//
// # What is kept in memory
//
// The directory itself records what was made: for each entry the filesystem is
// asked what stands at its name. Memory holds one header, a few open directories,
// and the paths of what the filesystem cannot tell: foreign hardlinks, and
// directories that are implied, opaque, hold whiteouts or wait for a mode or a
// default ACL. [Limits].Recorded bounds these, so a million files take no more
// memory than a thousand.
//
// Reading the blob, decompressing, hashing, making the names and writing small
// files are stages that work beside each other, on buffers of at most 2.5 MiB for
// a layer; zstd also takes the window that its frames ask for, 8 MiB or what
// [Windows] has. Small blobs are unpacked in the caller's goroutine. With one
// processor only the reading has a goroutine of its own.
//
// A directory's attributes are final unless it is held open: its times are set,
// by descriptor, when it is closed.
//
// # What is NOT promised
//
// Nothing is synced. After an error the directory holds rubbish. Two calls may
// run at once on different directories. A process of the same user that changes
// the directory meanwhile can spoil the layer, but not lead it outside.
package unpack
