// SPDX-License-Identifier: Apache-2.0

// Package journal reads and writes the list of all paths of a layer, files.zst
// in its directory.
//
// # The format
//
// files.zst is one zstd frame or several, with windows of at most 1 MiB, around:
//
//	magic    "lcfiles", 0x01
//	records  each: its length (uvarint, 1 to 4 MiB), then its fields
//	end      0x00, the number of records (uvarint), and the CRC-32C of all
//	         bytes before it, 4 bytes, little endian
//
// The fields of a record, without names or padding; a varint is Go's
// encoding/binary, u unsigned, s zigzag; a string is its length (u) and bytes:
//
//	type     1 byte, a layer.Type
//	flags    1 byte: 1 implied, 2 opaque by mark, 4 replaced, 8 has xattrs, 16 has a place
//	path     u, how many bytes it shares with the path of the record before; the rest, a string
//	mode u, uid u, gid u
//	time     seconds s, nanoseconds u
//	size     u
//	sum      CRC-32C of the content, 4 bytes, little endian
//	device   major u, minor u
//	linkname string
//	xattrs   if flagged: how many u, then name and value strings, sorted by name
//	place    if flagged: where the content begins in the tar u, how many fragments u, then
//	         offset u and size u of each; only in a store that keeps tars (format 2)
//
// A later record for a path replaces an earlier one. A record of type 'r' removes the
// path and everything below it; one of type 'o' makes a directory opaque. A record
// that replaces a directory with something else removes the directory's content.
package journal

import "github.com/layerctl/layerctl/errkind"

// Name is the name of the journal in a layer's directory.
const Name = "files.zst"

// ErrDamaged says that the file is missing, no journal, or not a complete one.
var ErrDamaged = errkind.New(errkind.Mismatch, "damaged")
