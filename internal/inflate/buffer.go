// SPDX-License-Identifier: Apache-2.0

package inflate

const (
	// windowSize is how far back a match may reach (RFC 1951 section 2).
	windowSize = 32 << 10
	// slack is the room behind a full buffer: the core checks for room once a
	// round, and a round stores at most two literals, one match of 258 bytes
	// and what its last wide copies spill.
	slack = 320
	// minBuffer keeps the cost of moving the window small beside the data.
	minBuffer = 4 << 10
)

// A Buffer is memory that Reader.Next decodes into. It belongs to the caller,
// who may pass it from stage to stage and use it again, with any Reader, when
// nobody reads its last contents any more.
type Buffer struct {
	// mem is the window, then the data, then slack.
	mem  []byte
	size int
}

// NewBuffer makes a Buffer for about size bytes of data; sizes under 4 KiB
// are raised to that. Reader.Next may go a few hundred bytes over the size.
// A Buffer takes about 33 KiB of memory more than its size.
func NewBuffer(size int) *Buffer {
	size = max(size, minBuffer)
	return &Buffer{mem: make([]byte, windowSize+size+slack), size: size}
}

// Bytes is the memory of b for data, for those who fill it by other means than
// Reader.Next.
func (b *Buffer) Bytes() []byte { return b.mem[windowSize : windowSize+b.size] }
