// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"encoding/binary"
	"io"
)

const (
	inputSize = 128 << 10
	// keepBack is how many bytes before the read position stay in the buffer,
	// so that whole bytes in the bit buffer can be given back.
	keepBack = 8
	// maxEmptyReads is how often in a row a source may return nothing.
	maxEmptyReads = 100
)

// input is a buffer over the compressed stream and the bits taken from it.
type input struct {
	r    io.Reader
	buf  []byte
	ip   int   // next byte of buf
	n    int   // end of the bytes in buf
	base int64 // offset of buf[0] in the stream
	err  error // the error of r after buf[:n]

	// bits holds the next count bits of the stream, the first in bit 0. Bits
	// above count are zero or what follows in the stream, never anything else.
	bits  uint64
	count uint
}

func (in *input) reset(r io.Reader) {
	buf := in.buf
	if buf == nil {
		buf = make([]byte, inputSize)
	}
	*in = input{r: r, buf: buf}
}

// offset is the offset in the stream of the next byte of the buffer.
func (in *input) offset() int64 { return in.base + int64(in.ip) }

// more reads from the source into the buffer. It reports false when the source
// has ended or broken; in.err then holds the reason.
func (in *input) more() bool {
	if in.err != nil {
		return false
	}
	if drop := in.ip - keepBack; drop > 0 {
		copy(in.buf, in.buf[drop:in.n])
		in.ip -= drop
		in.n -= drop
		in.base += int64(drop)
	}
	for range maxEmptyReads {
		n, err := in.r.Read(in.buf[in.n:])
		if n < 0 || n > len(in.buf)-in.n {
			panic("inflate: source returned an invalid count from Read")
		}
		in.n += n
		in.err = err
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	in.err = io.ErrNoProgress
	return false
}

// missing returns the error for input that the format needs and the source does not
// have.
func (in *input) missing() error {
	if in.err == io.EOF {
		return &FormatError{io.ErrUnexpectedEOF, in.base + int64(in.n)}
	}
	return in.err
}

// readByte returns the next byte; the bit buffer must be empty.
func (in *input) readByte() (byte, error) {
	if in.ip == in.n && !in.more() {
		return 0, in.missing()
	}
	c := in.buf[in.ip]
	in.ip++
	return c, nil
}

// readFull fills p; the bit buffer must be empty.
func (in *input) readFull(p []byte) error {
	for len(p) > 0 {
		if in.ip == in.n && !in.more() {
			return in.missing()
		}
		n := copy(p, in.buf[in.ip:in.n])
		in.ip += n
		p = p[n:]
	}
	return nil
}

// want takes whole bytes, no more than needed, until there are n bits. It
// reports false when the source ends before.
func (in *input) want(n uint) bool {
	for in.count < n {
		if in.ip == in.n && !in.more() {
			return false
		}
		in.bits |= uint64(in.buf[in.ip]) << in.count
		in.ip++
		in.count += 8
	}
	return true
}

// wantFast is want that takes as many bytes as fit if the buffer has them. Call align
// to give back those that are left over before anything counts bytes.
func (in *input) wantFast(n uint) bool {
	if in.count >= n {
		return true
	}
	if in.n-in.ip < 8 {
		return in.want(n)
	}
	in.bits |= binary.LittleEndian.Uint64(in.buf[in.ip:]) << in.count
	in.ip += int(63-in.count) >> 3
	in.count |= 56
	return true
}

// drop consumes n bits, which must be there.
func (in *input) drop(n uint) {
	in.bits >>= n
	in.count -= n
}

// take consumes n bits, which must be there, and returns them.
func (in *input) take(n uint) uint {
	v := uint(in.bits) & (1<<n - 1)
	in.drop(n)
	return v
}

// align gives whole bytes in the bit buffer back, so that fewer than 8 bits
// stay and the next byte is the first one not needed yet.
func (in *input) align() {
	in.ip -= int(in.count >> 3)
	in.count &= 7
	in.bits &= 1<<in.count - 1
}

// skipToByte drops the rest of the byte that is begun.
func (in *input) skipToByte() {
	in.align()
	in.bits, in.count = 0, 0
}
