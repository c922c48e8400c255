// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"hash/crc32"
	"io"
)

// readBuffer is the size of the Buffer behind Read and WriteTo: it stays in a
// second-level cache.
const readBuffer = 256 << 10

// A Reader decompresses a gzip stream. Take its output by Next, into buffers of
// your own, or by Read or WriteTo; mixing them is allowed, and bytes come once
// and in order. A Reader must not be used by two goroutines at once.
type Reader struct {
	in     input
	step   step
	final  bool    // the block begun is the member's last
	stored int     // bytes left of a stored block
	tables *tables // of the block begun
	own    tables

	fields headerReader

	window [windowSize]byte // the last bytes handed out, at its end
	crc    uint32           // of the member, up to output.summed
	size   int64            // of the member, up to output.summed
	out    int64            // of the stream, up to the last Next
	err    error            // the error of Next from now on

	pause  int64 // see PauseAt; 0 for none
	skip   uint  // bits to skip at the place of a checkpoint
	buf    *Buffer
	unread []byte // the part of buf that Read has not handed out
}

// A step is what comes next in the stream.
type step int

const (
	atHeader step = iota
	atResume
	atBlock
	inStored
	inCodes
	atTrailer
	behindMember
)

// output is a Buffer being filled.
type output struct {
	mem    []byte
	op     int // where the next byte goes
	limit  int
	base   int // the first byte of the member, or of the window
	summed int // the first byte not counted and summed yet
}

// NewReader returns a Reader of the gzip stream r. It reads nothing yet.
func NewReader(r io.Reader) *Reader {
	z := new(Reader)
	z.Reset(r)
	return z
}

// Reset makes z a new Reader of r that uses the memory of the old one.
func (z *Reader) Reset(r io.Reader) {
	z.in.reset(r)
	z.step, z.final, z.stored, z.tables = atHeader, false, 0, nil
	z.crc, z.size, z.out, z.err = 0, 0, 0, nil
	z.pause, z.unread = 0, nil
}

// beginMember starts a member whose first block comes next.
func (z *Reader) beginMember() {
	z.crc, z.size = 0, 0
	z.step = atBlock
}

// Next decompresses into b and returns the part of b that holds data. It returns when
// b is full, at a pause set with PauseAt, at the end of the stream, or at an error.
// The data stays as it is until b is passed to Next again.
//
// Next returns either data or an error. It returns all data in front of an error
// first; then every call returns the error, which is io.EOF at the end of a stream
// without damage.
func (z *Reader) Next(b *Buffer) ([]byte, error) {
	if len(z.unread) > 0 {
		n := copy(b.mem[windowSize:windowSize+b.size], z.unread)
		z.unread = z.unread[n:]
		return b.mem[windowSize : windowSize+n], nil
	}
	if z.err != nil {
		return nil, z.err
	}
	o := output{mem: b.mem, op: windowSize, limit: windowSize + b.size, summed: windowSize}
	o.base = windowSize - int(min(z.size, windowSize))
	copy(b.mem, z.window[:])
	for z.err == nil && o.op < o.limit && !z.paused(&o) {
		z.err = z.advance(&o)
	}
	z.sum(&o)
	z.out += int64(o.op - windowSize)
	copy(z.window[:], o.mem[o.op-windowSize:o.op])
	if o.op == windowSize {
		return nil, z.err
	}
	return b.mem[windowSize:o.op], nil
}

// advance does the next step.
func (z *Reader) advance(o *output) error {
	switch z.step {
	case atHeader:
		return z.header()
	case atResume:
		return z.skipBits()
	case atBlock:
		return z.block()
	case inStored:
		return z.copyStored(o)
	case inCodes:
		return z.codes(o)
	case atTrailer:
		return z.trailer(o)
	default:
		err := z.next()
		o.base = o.op
		return err
	}
}

// sum adds the new output to the member's size and checksum.
func (z *Reader) sum(o *output) {
	p := o.mem[o.summed:o.op]
	z.crc = crc32.Update(z.crc, crc32.IEEETable, p)
	z.size += int64(len(p))
	o.summed = o.op
}

// Read implements io.Reader. The buffer behind it takes about 300 KiB, from
// the first call on.
func (z *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := z.refill(); err != nil {
		return 0, err
	}
	n := copy(p, z.unread)
	z.unread = z.unread[n:]
	return n, nil
}

// WriteTo implements io.WriterTo.
func (z *Reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if err := z.refill(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := w.Write(z.unread)
		total += int64(n)
		z.unread = z.unread[n:]
		if err != nil {
			return total, err
		}
		if len(z.unread) > 0 {
			return total, io.ErrShortWrite
		}
	}
}

// refill decompresses into z.buf if Read has handed out everything in it.
func (z *Reader) refill() (err error) {
	if len(z.unread) > 0 {
		return nil
	}
	if z.buf == nil {
		z.buf = NewBuffer(readBuffer)
	}
	z.unread, err = z.Next(z.buf)
	return err
}
