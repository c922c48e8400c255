// SPDX-License-Identifier: Apache-2.0

package layer

import "time"

// Type says what a path is. The values are the bytes that stand in files.zst
// (format 1) and never change.
type Type byte

// The types of a path.
const (
	Regular     Type = 'f'
	Directory   Type = 'd'
	Symlink     Type = 'l'
	Hardlink    Type = 'h' // another name of the regular file, node or symlink that Linkname names
	CharDevice  Type = 'c'
	BlockDevice Type = 'b'
	FIFO        Type = 'p'
	Whiteout    Type = 'w' // "this name is deleted", in any form
	Removed     Type = 'r' // journal only: the path and all below it were removed again
	OpaqueMark  Type = 'o' // journal only: the directory is opaque from here on, as Opaque says, and otherwise as before
)

// Opaque says why a directory hides what lies below it in lower layers.
type Opaque byte

// Why a directory is opaque.
const (
	Transparent Opaque = 0
	Marked      Opaque = 'o' // by ".wh..wh..opq": hides what the lower directory has in it, but not its attributes
	Replaced    Opaque = 'x' // deleted and made again by the same layer: nothing of the lower directory stays
)

// Entry is one path of a layer, as the layer's tar means it. Owners are those of
// the tar, also where the store squashes or maps them on disk.
//
// Entries come as a journal, in the order in which they took effect: a later
// entry for a path replaces an earlier one.
type Entry struct {
	// Path is relative to the layer's root, byte for byte, without a leading
	// or trailing slash; the root itself is ".".
	Path string
	Type Type
	// Mode holds the permission bits with setuid, setgid and sticky: 07777.
	Mode     uint32
	UID, GID uint32
	// Size is the length of a regular file's content in bytes, else 0.
	Size int64
	// ModTime is the time that was set on disk, after any clamping.
	ModTime time.Time
	// Major and Minor number a device, else 0.
	Major, Minor uint32
	// Linkname is a symlink's target, verbatim. For a Hardlink it is the path (as
	// Path) of another name of the file: the file that the journal has there so far,
	// not one that replaces it later.
	Linkname string
	// Xattrs are the extended attributes that were set, without the store's own
	// overlay marks.
	Xattrs map[string]string
	// Sum is the CRC-32C (Castagnoli) of a regular file's content.
	Sum uint32
	// Implied is true for a directory, also the root, without an entry in the
	// layer's tar: a lower layer decides on its attributes.
	Implied bool
	Opaque  Opaque
	// At is the byte of the layer's tar at which a regular file's content begins,
	// in a store of tars; 0 elsewhere, and for a sparse file without data.
	At int64
	// Fragments are the parts of a sparse file that have data, in their order. Their
	// data stands in the tar from At on, without gaps; between the parts the file is
	// zero. nil means that all of the content stands at At.
	Fragments []Fragment
}

// Fragment is a part of a file's content: a range of its bytes.
type Fragment struct{ Offset, Size int64 }
