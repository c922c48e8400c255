// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"encoding/binary"
	"hash/crc32"
)

// Flags of a member header (RFC 1952 section 2.3.1).
const (
	flagHeaderCRC = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4

	// maxText is how long a name or comment may be with its final zero:
	// compress/gzip takes no longer ones.
	maxText = 512
)

// header reads the header of a member. It does not keep the values, because no digest
// covers the name and the time.
func (z *Reader) header() error {
	h := &z.fields
	h.in, h.start, h.crc, h.err = &z.in, z.in.offset(), 0, nil
	fixed := h.take(10)
	if h.err != nil {
		return h.err
	}
	if fixed[0] != 0x1f || fixed[1] != 0x8b || fixed[2] != 8 {
		return &FormatError{errHeader, h.start}
	}
	flags := fixed[3]
	if flags&flagExtra != 0 {
		h.extra()
	}
	if flags&flagName != 0 {
		h.text()
	}
	if flags&flagComment != 0 {
		h.text()
	}
	if flags&flagHeaderCRC != 0 {
		h.checksum()
	}
	if h.err != nil {
		return h.err
	}
	z.beginMember()
	return nil
}

// headerReader reads the fields of a header and sums them. After an error its
// methods do nothing.
type headerReader struct {
	in    *input
	start int64
	crc   uint32
	err   error
	buf   [maxText]byte
}

// take returns the next n bytes, or zeros after an error.
func (h *headerReader) take(n int) []byte {
	if h.err == nil {
		h.err = h.in.readFull(h.buf[:n])
	}
	h.crc = crc32.Update(h.crc, crc32.IEEETable, h.buf[:n])
	return h.buf[:n]
}

// extra reads past the extra field.
func (h *headerReader) extra() {
	left := int(binary.LittleEndian.Uint16(h.take(2)))
	for left > 0 && h.err == nil {
		left -= len(h.take(min(left, len(h.buf))))
	}
}

// text reads past a string that ends with a zero.
func (h *headerReader) text() {
	if h.err != nil {
		return
	}
	for i := range h.buf {
		if h.buf[i], h.err = h.in.readByte(); h.err != nil {
			return
		}
		if h.buf[i] == 0 {
			h.crc = crc32.Update(h.crc, crc32.IEEETable, h.buf[:i+1])
			return
		}
	}
	h.err = &FormatError{errHeader, h.start}
}

// checksum compares what was read so far with the header's own checksum.
func (h *headerReader) checksum() {
	want := uint16(h.crc)
	if got := binary.LittleEndian.Uint16(h.take(2)); h.err == nil && got != want {
		h.err = &FormatError{errHeader, h.start}
	}
}

// trailer compares a member with the checksum and length behind it.
func (z *Reader) trailer(o *output) error {
	z.in.skipToByte()
	z.sum(o)
	start := z.in.offset()
	var b [8]byte
	if err := z.in.readFull(b[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(b[:4]) != z.crc || binary.LittleEndian.Uint32(b[4:]) != uint32(z.size) {
		return &FormatError{errChecksum, start}
	}
	z.step = behindMember
	return nil
}

// next reads what follows a member: another one, zero padding, or the end.
func (z *Reader) next() error {
	if z.in.ip == z.in.n && !z.in.more() {
		return z.in.err
	}
	if z.in.buf[z.in.ip] == 0 {
		return z.padding()
	}
	for i, want := range []byte{0x1f, 0x8b, 8} {
		c, err := z.peek(i)
		if err != nil {
			return err
		}
		if c != want {
			return &FormatError{ErrTrailing, z.in.offset()}
		}
	}
	return z.header()
}

// padding reads zeros up to the end of the input.
func (z *Reader) padding() error {
	for {
		for z.in.ip < z.in.n {
			if z.in.buf[z.in.ip] != 0 {
				return &FormatError{ErrTrailing, z.in.offset()}
			}
			z.in.ip++
		}
		if !z.in.more() {
			return z.in.err
		}
	}
}

// peek returns the byte i ahead; the bit buffer must be empty.
func (z *Reader) peek(i int) (byte, error) {
	for z.in.n-z.in.ip <= i {
		if !z.in.more() {
			return 0, z.in.missing()
		}
	}
	return z.in.buf[z.in.ip+i], nil
}
