// SPDX-License-Identifier: Apache-2.0

// Package rootfs reads the root filesystem of an image without unpacking it.
//
// [Read] reads all layers and returns an [fs.FS] with the attributes of all files in
// memory. The content of a file is fetched when the file is opened:
//
//	image, err := rootfs.Read(ctx, layers, rootfs.Options{Store: store})
//	…
//	err = fs.WalkDir(image, ".", visit)
//	data, err := fs.ReadFile(image, "etc/os-release")
//
// [Open] opens one file, and reads only the layers that it needs to find the file:
//
//	f, err := rootfs.Open(ctx, layers, "/etc/os-release", rootfs.Options{})
//
// Most callers use a Client of package layerctl: its methods RootFS and OpenFile find
// the layers of a reference.
//
// # Promises
//
// No byte of a file is returned before its whole layer was verified. If the layer is
// in a store, no byte is returned before the file's content has the checksum that was
// recorded when the layer was verified. Names and attributes are those of the image
// and may be hostile: of a name only this is promised, that it has no slash and no
// NUL.
//
// # Limits
//
// The paths of all layers are in memory, about 400 bytes each and their length;
// Options.Memory bounds them. To open a file that is not in a store its whole layer is
// fetched, each time.
package rootfs
