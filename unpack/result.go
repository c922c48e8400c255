// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/layer"
	"github.com/opencontainers/go-digest"
)

// Result says what a layer was and what it needs from the layers below it.
// The slices are in the order of their paths.
type Result struct {
	// DiffID is the digest of the uncompressed tar, all of it.
	DiffID digest.Digest
	// Compression is how the blob was read: "gzip", "zstd" or "" for none.
	Compression string
	// CompressedSize and Size are the lengths of the blob and of the tar.
	CompressedSize, Size int64
	// Entries is the number of tar entries, Files that of regular files made,
	// Content their bytes.
	Entries, Files, Content int64
	layer.Facts
	// Notes count what was not taken as the tar says, in the order of their
	// keys.
	Notes []Note
}

// Note counts one kind of leniency.
type Note struct {
	// Key is a stable word for the kind, one of the Note constants.
	Key string
	// Count is how often it happened, Example the first path.
	Count   int64
	Example string
}

// Keys of notes.
const (
	NoteDuplicate      = "duplicate-path"        // a path came twice; the last one won
	NoteDevice         = "device-skipped"        // a device node that may not be made here
	NoteNullDevice     = "null-device-dropped"   // a character device 0/0, which would be a whiteout
	NoteLinkEarly      = "link-before-target"    // a hard link that stands before its target, and means a lower layer's file
	NoteWhiteoutForm   = "whiteout-form"         // a whiteout that is no empty regular file
	NoteWhiteoutBelow  = "whiteout-below-nondir" // a whiteout below a symlink or file, where nothing is left to hide
	NoteAUFS           = "aufs-metadata"         // .wh..wh.aufs, .wh..wh.orph, .wh..wh.plnk
	NoteTime           = "time-clamped"          // a time that the filesystem cannot hold
	NotePAXRepeated    = "pax-repeated"          // an extended header or record came twice
	NotePAXTime        = "pax-time"              // a time that is not written as POSIX has it: ".5", "1e9"
	NoteSize           = "size-ignored"          // a link, directory, device or FIFO with a size, which no data follows
	NoteSparse         = "sparse-file"           // a file with holes that do not stand in the tar
	NoteDotDot         = "dot-dot"               // a name with ".." that stays inside
	NoteAfterEnd       = "data-after-end"        // bytes that are not zero after the end of the archive
	NoteMediaType      = "media-type"            // the blob is not compressed as its media type says
	NoteXattrNamespace = "xattr-namespace"       // an attribute of a namespace that Linux does not have, as com.apple.
	NoteXattrOverlay   = "xattr-overlay"         // an overlayfs mark of the image's
	NoteXattrTrusted   = "xattr-trusted"         // another trusted. attribute
	NoteXattrSecurity  = "xattr-security"        // a security. attribute that belongs to the host
	NoteXattrNFS4      = "xattr-nfs4-acl"        // system.nfs4_acl
	NoteXattrContainer = "xattr-containers"      // user.containers., storage metadata of other engines
	NoteXattrType      = "xattr-on-type"         // an attribute that this type of path cannot have
	NoteXattrForeign   = "xattr-libarchive"      // LIBARCHIVE.xattr. records
	NoteXattrSupport   = "xattr-unsupported"     // an attribute that the filesystem does not take
	NoteCapability     = "capability-skipped"    // a file capability that the caller may not set
	NoteSetID          = "setid-cleared"         // a set-user-ID or set-group-ID bit for another owner than the image's
)
