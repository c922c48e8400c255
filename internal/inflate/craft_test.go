// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
	"math/rand/v2"
)

// A crafter writes deflate streams bit by bit, good ones and bad ones.
type crafter struct {
	b     []byte
	acc   uint64
	count uint
	lit   code
	dist  code
	out   int // bytes that randomDeflate has asked for
}

// code is a canonical code by the lengths of its symbols.
type code []uint8

func (c *crafter) bits(v uint64, n uint) *crafter {
	c.acc |= v & (1<<n - 1) << c.count
	for c.count += n; c.count >= 8; c.count -= 8 {
		c.b = append(c.b, byte(c.acc))
		c.acc >>= 8
	}
	return c
}

func (c *crafter) align() *crafter {
	if c.count > 0 {
		c.bits(0, 8-c.count)
	}
	return c
}

// ones fills the byte that is begun with ones.
func (c *crafter) ones() *crafter {
	for c.count > 0 {
		c.bits(1, 1)
	}
	return c
}

func (c *crafter) bytes() []byte {
	c.align()
	return c.b
}

// symbol writes a code; a symbol without one writes nothing.
func (c *crafter) symbol(lengths code, sym int) *crafter {
	n := lengths[sym]
	if n == 0 {
		return c
	}
	v := 0
	for l := uint8(1); l <= n; l++ {
		v <<= 1
		for s, have := range lengths {
			if have == l && (l < n || s < sym) {
				v++
			}
		}
	}
	return c.bits(uint64(bits.Reverse16(uint16(v))>>(16-n)), uint(n))
}

func header(final bool, kind uint64) (v uint64, n uint) {
	v = kind << 1
	if final {
		v |= 1
	}
	return v, 3
}

func (c *crafter) stored(final bool, p []byte) *crafter {
	c.bits(header(final, 0)).align()
	c.bits(uint64(len(p)), 16).bits(^uint64(len(p)), 16)
	c.b = append(c.b, p...)
	return c
}

func (c *crafter) fixed(final bool) *crafter {
	c.bits(header(final, 1))
	c.lit, c.dist = make(code, 288), make(code, 32)
	for i := range c.lit {
		c.lit[i] = 8
		if i >= 144 && i < 256 {
			c.lit[i] = 9
		} else if i >= 256 && i < 280 {
			c.lit[i] = 7
		}
	}
	for i := range c.dist {
		c.dist[i] = 5
	}
	return c
}

// plainLens is a complete code for code lengths: 13 of 4 bits, 6 of 5.
var plainLens = code{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5}

// dynamic begins a block with the given codes, sent without runs.
func (c *crafter) dynamic(final bool, lit, dist code) *crafter {
	c.lens(final, len(lit), len(dist), plainLens)
	for _, n := range append(append(code(nil), lit...), dist...) {
		c.symbol(plainLens, int(n))
	}
	c.lit, c.dist = lit, dist
	return c
}

// lens begins a block up to its code length code.
func (c *crafter) lens(final bool, lits, dists int, lens code) *crafter {
	c.bits(header(final, 2))
	c.bits(uint64(lits-257), 5).bits(uint64(dists-1), 5).bits(15, 4)
	for _, sym := range lenOrder {
		c.bits(uint64(lens[sym]), 3)
	}
	return c
}

func (c *crafter) text(s string) *crafter {
	for i := range len(s) {
		c.symbol(c.lit, int(s[i]))
	}
	return c
}

func (c *crafter) end() *crafter { return c.symbol(c.lit, endOfBlock) }

// match writes a match by the entries of the tables; the last code whose base
// is not above the value takes it.
func (c *crafter) match(length, dist int) *crafter {
	sym := 257
	for s := 257; s < 286; s++ {
		if int(litSymbols[s]>>entryValueAt) <= length && c.lit[min(s, len(c.lit)-1)] > 0 && s < len(c.lit) {
			sym = s
		}
	}
	c.symbol(c.lit, sym).extra(litSymbols[sym], length)
	sym = 0
	for s := range min(len(c.dist), maxDistCode) {
		if int(distSymbols[s]>>entryValueAt) <= dist && c.dist[s] > 0 {
			sym = s
		}
	}
	return c.symbol(c.dist, sym).extra(distSymbols[sym], dist)
}

func (c *crafter) extra(entry uint32, v int) *crafter {
	return c.bits(uint64(v)-uint64(entry>>entryValueAt), uint(entry&entryTotal))
}

// even is a complete code for n symbols of nearly the same length.
func even(n int) code {
	c := make(code, n)
	width := bits.Len(uint(n - 1))
	long := 2 * (n - 1<<(width-1))
	for i := range c {
		c[i] = uint8(width)
		if i < n-long {
			c[i]--
		}
	}
	return c
}

// member wraps deflate data as a gzip member with the right trailer.
func member(deflated []byte) []byte {
	data, _ := io.ReadAll(flate.NewReader(bytes.NewReader(deflated)))
	b := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	b = append(b, deflated...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(data))
	return binary.LittleEndian.AppendUint32(b, uint32(len(data)))
}

// randomCode is a complete code for some of n symbols, with lengths up to 15;
// must has a code in any case. Splitting leaves at random makes it lopsided.
func randomCode(rng *rand.Rand, n, must int) code {
	leaves := []uint8{0}
	for want := 2 + rng.IntN(n-1); len(leaves) < want; {
		i := rng.IntN(len(leaves))
		if rng.IntN(2) == 0 {
			i = len(leaves) - 1
		}
		if leaves[i] == maxCodeLen {
			break
		}
		leaves[i]++
		leaves = append(leaves, leaves[i])
	}
	c := make(code, n)
	symbols := rng.Perm(n)
	for i, sym := range symbols {
		if sym == must {
			symbols[0], symbols[i] = symbols[i], symbols[0]
		}
	}
	rng.Shuffle(len(leaves), func(i, j int) { leaves[i], leaves[j] = leaves[j], leaves[i] })
	for i, n := range leaves {
		c[symbols[i]] = n
	}
	return c
}

// randomDeflate is a stream of blocks with odd codes and odd matches. Nearly
// all of them are valid.
func randomDeflate(rng *rand.Rand, blocks, symbols int) []byte {
	var c crafter
	for i := range blocks {
		final := i == blocks-1
		switch rng.IntN(5) {
		case 0:
			p := make([]byte, rng.IntN(300))
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
			c.stored(final, p)
			c.out += len(p)
			continue
		case 1:
			c.fixed(final)
		default:
			c.dynamic(final, randomCode(rng, 257+rng.IntN(30), endOfBlock), randomCode(rng, 2+rng.IntN(29), 0))
		}
		for range rng.IntN(symbols) {
			c.randomSymbol(rng)
		}
		c.end()
	}
	return c.bytes()
}

func (c *crafter) randomSymbol(rng *rand.Rand) {
	sym := rng.IntN(min(len(c.lit), maxLitCodes))
	if c.lit[sym] == 0 || sym == endOfBlock {
		return
	}
	if sym < endOfBlock {
		c.symbol(c.lit, sym)
		c.out++
		return
	}
	dist, ok := c.randomDistance(rng)
	if !ok {
		return
	}
	extra := rng.Uint64() & (1<<(litSymbols[sym]&entryTotal) - 1)
	c.symbol(c.lit, sym).bits(extra, uint(litSymbols[sym]&entryTotal))
	c.out += int(litSymbols[sym]>>entryValueAt) + int(extra)
	entry := distSymbols[dist]
	extra = rng.Uint64() & (1<<(entry&entryTotal) - 1)
	if int(entry>>entryValueAt)+int(extra) > c.out {
		extra = 0
	}
	c.symbol(c.dist, dist).bits(extra, uint(entry&entryTotal))
}

// randomDistance picks a distance code that reaches something; now and then
// one that may not.
func (c *crafter) randomDistance(rng *rand.Rand) (int, bool) {
	for range 10 {
		d := rng.IntN(min(len(c.dist), maxDistCode))
		if c.dist[d] == 0 {
			continue
		}
		if int(distSymbols[d]>>entryValueAt) <= c.out || rng.IntN(100_000) == 0 {
			return d, true
		}
	}
	return 0, false
}
