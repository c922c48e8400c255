// SPDX-License-Identifier: Apache-2.0

// Package rootfs reads the root filesystem of an image without unpacking it.
//
// [Read] reads what all layers say and gives an [fs.FS], which tells of each
// file's attributes in memory and opens contents when they are asked for:
//
//	image, err := rootfs.Read(ctx, layers, rootfs.Options{Store: store})
//	…
//	err = fs.WalkDir(image, ".", visit)
//	data, err := fs.ReadFile(image, "etc/os-release")
//
// [Open] gives one file, and reads no further layers than it takes to know
// where the file is:
//
//	f, err := rootfs.Open(ctx, layers, "/etc/os-release", rootfs.Options{})
//
// Most callers have a Client of the package layerctl, whose methods RootFS and
// OpenFile find the layers of a reference.
//
// # Promises
//
// Not a byte of a file is given out before its layer was verified to the end,
// or, in a store, before the file's content has the sum that was recorded
// then. Names and attributes are those of the image and may be hostile: a name
// has no slash and no NUL, and nothing else is promised of it.
//
// # Limits
//
// The paths of all layers are in memory, some 400 bytes each and their length;
// Options.Memory bounds them. A content that is not in a store has its whole
// layer fetched for each open.
package rootfs
