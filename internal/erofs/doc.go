// SPDX-License-Identifier: Apache-2.0

// Package erofs writes the metadata of an EROFS filesystem whose data lies on
// other devices: an index over the tar files of layers, in blocks of 512 bytes,
// which Linux 6.4 and newer mount with those files as its devices. Or it lies
// in the same file, in front of the metadata ([WriteBehind]).
//
//	size, err := erofs.Write(file, devices, func(add func(erofs.Entry) error) error {
//		err := add(erofs.Entry{Path: ".", Inode: erofs.Inode{Type: layer.Directory, Mode: 0o755}})
//		…                    // depth first, a directory before what is in it
//	})
//
// The format is that of fs/erofs/erofs_fs.h in Linux. Equal calls make equal
// bytes. No byte of an image becomes structure: names, link targets and
// attributes are copied into places that this package computes.
//
// # What it writes
//
//	1024      the superblock
//	1152      a slot of 128 bytes for each device
//	          shared extended attributes: each that several files have, once
//	          blocks of directories, long targets, and of data that does not
//	          begin at a block of its device (sparse files)
//	          inodes of 64 bytes, the root's first, each followed by its
//	          attributes and then by a symlink's target, the last part of a small
//	          directory, or the map of a file's chunks
//
// [WriteBehind] writes the same from the end of the data on, without slots.
//
// # Memory
//
// The tree is gone through twice: the first time says how large directories are,
// the second time all is written. A directory takes 12 bytes meanwhile, a file
// with several names about 50, and of extended attributes 65,536 different ones
// are remembered for being shared.
package erofs
