// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
)

// frames passes zstd frames on as they are, and can end between two of them, as
// at the end of the blob (RFC 8878, 3.1). What it does not understand it passes on
// to the end, for the decompressor to judge.
type frames struct {
	in      *bufio.Reader
	stop    bool  // at the end of the frame
	stopped bool  // it did
	passed  bool  // something since it last did
	left    int64 // bytes of what is being passed on
	inside  bool  // a frame
	tail    int64 // bytes behind its last block
}

// Read implements io.Reader.
func (f *frames) Read(p []byte) (int, error) {
	if f.left == 0 {
		if f.stop && !f.inside && f.passed {
			f.stopped, f.passed = true, false
			return 0, io.EOF
		}
		f.left = f.next()
	}
	n, err := f.in.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	f.passed = f.passed || n > 0
	return n, err
}

// next is the length of what comes next: a frame's header, a block, a skippable
// frame.
func (f *frames) next() int64 {
	if f.inside {
		return f.block()
	}
	const rest = math.MaxInt64
	b, err := f.in.Peek(8)
	if err != nil {
		return rest
	}
	switch magic := binary.LittleEndian.Uint32(b); {
	case magic&^0xf == 0x184d2a50:
		return 8 + int64(binary.LittleEndian.Uint32(b[4:]))
	case magic != 0xfd2fb528:
		return rest
	}
	flags := b[4]
	f.inside, f.tail = true, 0
	if flags&4 != 0 {
		f.tail = 4 // a checksum
	}
	size := 5 + [4]int64{0, 1, 2, 4}[flags&3] + [4]int64{0, 2, 4, 8}[flags>>6] // with dictionary and content size
	single := flags&0x20 != 0
	if !single || flags>>6 == 0 {
		size++ // a window, or a content size of one byte
	}
	return size
}

func (f *frames) block() int64 {
	b, err := f.in.Peek(3)
	if err != nil {
		return math.MaxInt64
	}
	head := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	size := 3 + int64(head>>3)
	if head>>1&3 == 1 {
		size = 3 + 1 // one byte, repeated
	}
	if head&1 != 0 {
		f.inside = false
		size += f.tail
	}
	return size
}
