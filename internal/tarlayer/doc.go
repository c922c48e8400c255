// SPDX-License-Identifier: Apache-2.0

// Package tarlayer keeps a layer as one file, its uncompressed tar, and makes
// the index that shows an image over the files of its layers.
//
// # The file of a layer
//
//	0      4096 bytes of zeros, with room for a superblock at 1024
//	4096   the tar as it came, byte for byte: its SHA-256 is the diffID
//	       zeros up to a multiple of 512
//
// The tar begins at a block, so the content of each file does. Whoever mounts
// one layer by itself, as containerd's snapshotter erofs does, needs a superblock
// and metadata in the same file. [Alone] writes both when somebody asks for them:
//
//	1024   the superblock, with a UUID that is a checksum of itself and the metadata
//	       behind the tar, the metadata of package erofs
//
// Neither moves a byte of the tar, and nobody who reads that looks at them.
//
// # Written back
//
// [Writer] has the device begin with what was written, in whole extents, and once the
// layer has come with the rest, unless that is below 256 KiB: so the sync before a
// commit finds little to do. Where no sync follows it leaves all of it to the kernel.
// That is one syncfs for all layers rather than an fdatasync a file: of 60 layers of
// a megabyte each on a slow ext4 it makes 132 requests and 4 flushes of the device,
// where syncing each file makes 541 and 360 in the same time. It also waits for what
// others have written to the filesystem, which an fdatasync does not.
//
// # The index of an image
//
// It is a filesystem of package erofs that shows what the layers come to, with
// the file of each layer as a device, in the order of [Files]. Whiteouts,
// opaque directories, implied directories and links into lower layers are
// resolved by package sortedview: none of them is in it.
package tarlayer

// fileName is the file in a layer's directory. That of an index is
// [storedirs.Index].
const fileName = "layer.erofs"

// headSize is how many bytes come before the tar.
const headSize = 4096
