// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"errors"
	"fmt"
)

// The classes of damage a Reader reports, each inside a *FormatError. A stream
// that ends too early is reported as io.ErrUnexpectedEOF in the same way.
var (
	// errHeader is a member header that RFC 1952 section 2.3 does not allow.
	errHeader = errors.New("invalid gzip header")
	// errCorrupt is compressed data that RFC 1951 does not allow.
	errCorrupt = errors.New("corrupt deflate data")
	// errChecksum is a member whose CRC-32 or length differs from its trailer.
	errChecksum = errors.New("gzip checksum mismatch")
	// ErrTrailing is a byte after the last member that is neither zero padding
	// nor the start of another member.
	ErrTrailing = errors.New("trailing garbage")
)

// A FormatError says what is wrong with a gzip stream, and where.
type FormatError struct {
	// Err is errHeader, errCorrupt, errChecksum, ErrTrailing or
	// io.ErrUnexpectedEOF.
	Err error
	// Offset counts compressed bytes from the start of the stream. It is the
	// first byte of the header for errHeader, of the trailer for errChecksum
	// and of the garbage for ErrTrailing; the end of the bytes that prove the
	// damage for errCorrupt; the length of the stream for io.ErrUnexpectedEOF.
	Offset int64
}

// Error gives the class of the damage and the offset.
func (e *FormatError) Error() string {
	if e.Err == errCorrupt {
		return fmt.Sprintf("%v before offset %d", e.Err, e.Offset)
	}
	return fmt.Sprintf("%v at offset %d", e.Err, e.Offset)
}

// Unwrap returns the class of the damage for errors.Is.
func (e *FormatError) Unwrap() error { return e.Err }
