// SPDX-License-Identifier: Apache-2.0

package inflate

// inMargin is how many bytes of input the core needs for a round. No round reads
// further, so every bit that it decodes is a bit of the stream.
const inMargin = 32

// core is what the fast decoder works on: a stretch of input that begins at a
// symbol of a compressed block, and the room for output.
type core struct {
	in    []byte
	ip    int  // next byte of in
	bits  uint // fewer than 8 bits left over from the byte before ip
	count uint

	out   []byte // with slack behind limit
	op    int    // where the next byte goes
	base  int    // the earliest byte a match may reach
	limit int    // no round begins at or behind it
}

// A verdict is why the core stopped.
type verdict int

const (
	// starved: input or room is below the margin.
	starved verdict = iota
	// ended: the end of the block has been consumed.
	ended
	// odd: the next symbol is for the exact decoder to judge.
	odd
)

// seek sets the position in the input to a bit of in.
func (c *core) seek(bit int) {
	c.ip = bit >> 3
	c.bits, c.count = 0, 0
	if used := uint(bit & 7); used != 0 {
		c.bits, c.count = uint(c.in[c.ip]>>used), 8-used
		c.ip++
	}
}

// repeat writes the dist bytes before op again and again up to end, for dist
// below 8. It may write up to 7 bytes past end.
func repeat(out mem, op, dist, end int) {
	n := uint(dist) * 8
	v := load64(out, op-dist) & (1<<n - 1)
	v |= v << n
	v |= v << (2 * n)
	v |= v << (4 * n)
	// Only whole repeats, so that the next store begins with the pattern.
	step := 8 - 8%dist
	for ; op < end; op += step {
		store64(out, op, v)
	}
}
