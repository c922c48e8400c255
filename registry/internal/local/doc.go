// SPDX-License-Identifier: Apache-2.0

// Package local reads images from files: from an OCI image layout, from a tar
// archive of one, and from what "docker save" writes.
//
// # Archives
//
// A tar is read where it lies: its headers once, then each blob at its place,
// several at a time. What is compressed as a whole, by gzip, zstd, bzip2 or xz,
// cannot be read so. It is unpacked once, into a temporary file without a name,
// which is gone when it is closed or the process has ended, however that came.
// To decompress it again for each blob would take no disk, but an image of n
// layers would take n times as long, and xz is slow. Standard input, which can
// be read only once, is kept in the same way.
//
// What is unpacked is held to a size, to a ratio and to the space that stays
// free, see [Options], and is read to its end: a file that is cut short, whose
// checksum is wrong, or that goes on behind its end, is refused before anything
// of it is used. First bytes tell the compression, never a file's name.
//
// # Names
//
// An image is found by a name as the archive has it, else by the same Docker
// reference written in another way, else by the end of one, else by its tag. Where
// more than one image has such a name, none is chosen: the error lists names that
// are good for one.
package local
