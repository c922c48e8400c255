// SPDX-License-Identifier: Apache-2.0

package layertar

import "fmt"

// Types of an entry: the type flag as it stands in the header, the old forms
// of a regular file and of a directory brought to [Regular] and [Directory].
const (
	Regular     = '0'
	Hardlink    = '1'
	Symlink     = '2'
	CharDevice  = '3'
	BlockDevice = '4'
	Directory   = '5'
	FIFO        = '6'
)

// Header is one entry, byte for byte as the tar has it.
type Header struct {
	Name     string
	Linkname string
	Type     byte
	Mode     int64
	UID, GID int64
	// Size is the length of the content in bytes, the holes of a sparse file
	// included. Data is how much of it stands in the tar.
	Size, Data int64
	// Seconds and Nanoseconds are the modification time since 1970, the
	// nanoseconds never negative. TimeClamped says that the tar's own time
	// was outside int64, OddTime that it is a number as POSIX does not write
	// one: ".5", "1.7e9".
	Seconds     int64
	Nanoseconds int64
	TimeClamped bool
	OddTime     bool
	// Major and Minor number a device.
	Major, Minor int64
	// Xattrs are the SCHILY.xattr records in the order of the tar.
	Xattrs []Xattr
	// Foreign is true where attributes stand in a form that is not read:
	// LIBARCHIVE.xattr records.
	Foreign bool
	// Sparse is true for a file whose holes do not stand in the tar.
	Sparse bool
	// SizeIgnored is true for a link, a directory, a device or a FIFO with a
	// size: no data follows it.
	SizeIgnored bool
	// Repeated is true where an extended header or one of its records stood
	// more than once; the last one counts.
	Repeated bool
	// Offset is where the entry begins in the stream, its extended headers
	// included.
	Offset int64
}

// Xattr is one extended attribute.
type Xattr struct{ Name, Value string }

// SyntaxError says what is wrong with a tar stream, and where.
type SyntaxError struct {
	// Entry is the name of the entry concerned; empty where it has none yet.
	Entry string
	// Offset is the byte of the stream at which the entry begins.
	Offset int64
	Reason string
}

func (e *SyntaxError) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("tar header at byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("tar entry %.200q at byte %d: %s", e.Entry, e.Offset, e.Reason)
}

// Begins says whether b, the first 512 bytes of a file or all that it has, can
// be the start of a tar: a header whose checksum holds, or zeros. A tar has no
// magic number at its very start.
func Begins(b []byte) bool {
	var first block
	if n := copy(first[:], b); n < blockSize {
		return first.isZero()
	}
	return first.isZero() || first.checksumHolds()
}
