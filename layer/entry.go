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
	Whiteout    Type = 'w' // "this name is deleted", in whichever form the store keeps it
	Removed     Type = 'r' // journal only: the path and all below it are gone again
	OpaqueMark  Type = 'o' // journal only: the directory stays as it was, but is opaque from here on, as Opaque says
)

// Opaque says why a directory hides what lies below it in lower layers.
type Opaque byte

// Why a directory is opaque.
const (
	Transparent Opaque = 0
	Marked      Opaque = 'o' // by ".wh..wh..opq": its children go, the directory and its attributes stay
	Replaced    Opaque = 'x' // whited out and made again by the same layer: nothing of the lower one stays
)

// Entry is one path of a layer, as the layer's tar means it. Ids are those of
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
	// ModTime is what was set on disk, after any clamping.
	ModTime time.Time
	// Major and Minor number a device, else 0.
	Major, Minor uint32
	// Linkname is a symlink's target, verbatim, or for a Hardlink the path in
	// this layer (as Path) that it is another name of: of what the journal has
	// there so far, not of what may replace it later.
	Linkname string
	// Xattrs are the extended attributes that were set, the store's own
	// overlay marks left out.
	Xattrs map[string]string
	// Sum is the CRC-32C (Castagnoli) of a regular file's content.
	Sum uint32
	// Implied is true for a directory (the root too) that the layer's tar has
	// no entry for: its attributes are not this layer's to say.
	Implied bool
	Opaque  Opaque
	// At is where a regular file's content begins in the layer's tar, in bytes,
	// where the store keeps that; 0 elsewhere, and where it is all zeros that do
	// not stand there.
	At int64
	// Fragments are the parts of a sparse file whose data stands at At, one
	// behind the other, in their order; what lies between them are zeros. nil
	// means that all of the content stands there.
	Fragments []Fragment
}

// Fragment is a part of a file's content.
type Fragment struct{ Offset, Size int64 }
