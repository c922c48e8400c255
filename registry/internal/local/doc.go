// SPDX-License-Identifier: Apache-2.0

// Package local reads images from files: from an OCI image layout, from a tar
// archive of one, and from what "docker save" writes.
//
// # Archives
//
// A tar is read in place: first all headers, then each blob at its offset, several at
// once. An archive that is compressed as a whole, by gzip, zstd, bzip2 or xz, cannot be
// read in this way. It is unpacked once, into a temporary file without a name, which
// disappears when it is closed or the process ends, in whatever way. Decompressing it
// anew for each blob would need no disk, but n times as long for an image of n layers,
// and xz is slow. Standard input, which can be read only once, is also written to such a
// file.
//
// [Options] bound the size of the unpacked tar, its ratio to the archive and the space
// that must stay free. The archive is read to its end: one that is cut short, that has a
// wrong checksum, or that goes on behind its end, is refused before anything of it is
// used. The first bytes tell the compression, never the file's name.
//
// # Names
//
// A name means the image that has exactly this name in the archive; or else the same
// Docker reference written in another way; or else a name that ends with it behind a
// slash; or else a name with this tag. If that is more than one image, none is chosen,
// and the error lists names that mean one image.
package local
