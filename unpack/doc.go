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
// [Read] gives the same journal and result, and the content of the files that
// are asked for, and writes nothing: it unpacks onto a disk that is a tree in
// memory, so that what a layer means is decided in one place.
//
// # What is written
//
// The directory that comes out means the same wherever it stands in a stack:
// it depends on the layer alone. Whiteouts and opaque marks are taken by their
// meaning, not by the order of entries (image-spec, layer.md, "Whiteouts"):
//
//   - a name that the layer both deletes and makes is made, and a directory
//     hides then all that lower layers have in it ([layer.Replaced]);
//   - no whiteout stands in what an opaque directory hides;
//   - nothing in the image becomes a mark by itself: devices 0/0 and the
//     overlay.* attributes that a tar brings are left out.
//
// What a single layer cannot know is in [Result]: attributes of directories
// that it has no entry for, names that would show where there is nothing to
// hide, hardlinks into lower layers, an opaque root.
//
// # What is kept in memory
//
// The directory itself is the record of what was made: each entry asks the
// filesystem what stands at its name. In memory there are one header, a few
// open directories, and the paths of what the filesystem cannot tell:
// directories that are implied, opaque, hold whiteouts or wait for a mode or a
// default ACL, and foreign hardlinks. [Limits].Recorded bounds these. So a
// million files take no more memory than a thousand.
//
// Reading the blob, decompressing, hashing, making the names and writing small
// files are stages that work beside each other, on buffers of 2.5 MiB in all
// for a layer; zstd takes the window that its frames ask for besides, 8 MiB or
// what [Windows] has. Small blobs are unpacked in the caller's goroutine, and so
// are all but the reading on one processor.
//
// Each directory's own attributes are final whenever it is not among those
// held open, whose times are set when they are let go, by descriptor.
//
// # What is NOT promised
//
// Nothing is synced. After an error the directory holds rubbish. Two calls may
// run at once, on different directories. A process of the same user that
// changes the directory meanwhile can spoil the layer, not lead it outside.
package unpack
