// SPDX-License-Identifier: Apache-2.0

package layer

// Keys of the notes of a layer, which say in what it was not unpacked as its tar
// says. They stand in layer.json (format 1) and never change.
const (
	NoteDuplicate      = "duplicate-path"        // a path came twice; the last one won
	NoteDevice         = "device-skipped"        // a device node that may not be made here
	NoteNullDevice     = "null-device-dropped"   // a character device 0/0, which overlayfs would take for a whiteout
	NoteLinkEarly      = "link-before-target"    // a hard link to a lower file whose name the layer makes, deletes or hides later
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
