// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

type namedStream struct {
	name string
	raw  []byte
}

func with(lengths code, sym int, n uint8) code {
	lengths = slices.Clone(lengths)
	lengths[sym] = n
	return lengths
}

// stairs has codes of 1, 2, 3 ... bits; the last two have the same length.
func stairs(symbols int, order ...int) code {
	c := make(code, symbols)
	for i, sym := range order {
		c[sym] = uint8(min(i+1, len(order)-1))
	}
	return c
}

// crafted are deflate streams for the corners of the format. A block with so
// many literals of 9 bits goes before each, so that everything is seen at every
// bit of a byte; none for -1.
func crafted(before int) []namedStream {
	fresh := func() *crafter {
		if before < 0 {
			return new(crafter)
		}
		return new(crafter).fixed(false).text(strings.Repeat("\xff", before)).end()
	}
	alphabet := []int{'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 257, 285}
	longEnd := stairs(286, append(slices.Clone(alphabet), endOfBlock)...)
	shortEnd := stairs(286, append([]int{endOfBlock}, alphabet...)...)
	noEnd := stairs(286, alphabet...)
	noDist := make(code, 1)
	filler := strings.Repeat("a", 90)
	list := []namedStream{
		{"empty", nil},
		{"empty stored", fresh().stored(true, nil).bytes()},
		{"stored", fresh().stored(false, []byte("hello ")).stored(true, []byte("world")).bytes()},
		{"largest stored", fresh().stored(true, bytes.Repeat([]byte("x"), 65535)).bytes()},
		{"stored length unlike its complement", fresh().bits(1, 3).align().bits(5, 16).bits(5, 16).bits(0x6f6c6c6568, 40).bytes()},
		{"stored with ones as padding", fresh().bits(1, 3).ones().bits(5, 16).bits(^uint64(5), 16).bits(0x6f6c6c6568, 40).bytes()},
		{"reserved block", fresh().bits(7, 3).bytes()},
		{"reserved block after text", fresh().fixed(false).text(filler).end().bits(7, 3).bytes()},
		{"empty fixed", fresh().fixed(true).end().bytes()},
		{"fixed", fresh().fixed(true).text("hello\xff\xfe").match(258, 5).end().bytes()},
		{"fixed length 286", fresh().fixed(true).text(filler).symbol(fresh().fixed(true).lit, 286).bytes()},
		{"fixed length 287", fresh().fixed(true).text(filler).symbol(fresh().fixed(true).lit, 287).bytes()},
		{"fixed distance 30", fresh().fixed(true).text(filler).bits(0, 0).symbol(fresh().fixed(true).lit, 260).bits(0x0f, 5).text(filler).bytes()},
		{"fixed distance 31", fresh().fixed(true).text(filler).symbol(fresh().fixed(true).lit, 260).bits(0x1f, 5).text(filler).bytes()},
		{"length 258 by code 284", fresh().fixed(true).text("ab").symbol(fresh().fixed(true).lit, 284).bits(31, 5).symbol(code{5, 5}, 1).text(filler).end().bytes()},
		{"distance one too far", fresh().fixed(true).text(filler).match(3, 91).text(filler).end().bytes()},
		{"distance just reached", fresh().fixed(true).text(filler).match(3, 90).text(filler).end().bytes()},
		{"distance before any byte", fresh().fixed(true).match(3, 1).end().bytes()},
		{"287 literal codes", fresh().lens(true, 287, 1, plainLens).bits(0, 48).bytes()},
		{"288 literal codes", fresh().lens(true, 288, 1, plainLens).bits(0, 48).bytes()},
		{"31 distance codes", fresh().lens(true, 257, 31, plainLens).bits(0, 48).bytes()},
		{"32 distance codes", fresh().lens(true, 257, 32, plainLens).bits(0, 48).bytes()},
		{"dynamic", fresh().dynamic(true, even(286), even(30)).text(filler).match(258, 90).match(10, 257).end().bytes()},
		{"end of 15 bits", fresh().dynamic(true, longEnd, even(2)).text("abcab"+filler).match(3, 2).end().bytes()},
		{"end of 1 bit", fresh().dynamic(true, shortEnd, even(2)).text("abcab"+filler).match(3, 2).end().bytes()},
		{"no end", fresh().dynamic(true, noEnd, even(2)).text("abcab"+filler).match(3, 2).bytes()},
		{"incomplete literals", fresh().dynamic(true, with(even(286), 7, 0), even(2)).bits(0, 48).bytes()},
		{"too many literals", fresh().dynamic(true, with(even(286), 7, 1), even(2)).bits(0, 48).bytes()},
		{"incomplete distances", fresh().dynamic(true, even(286), code{2, 2, 2}).bits(0, 48).bytes()},
		{"too many distances", fresh().dynamic(true, even(286), code{1, 1, 1}).bits(0, 48).bytes()},
		{"no distances, none used", fresh().dynamic(true, longEnd, noDist).text(filler).end().bytes()},
		{"no distances, one used", fresh().dynamic(true, longEnd, noDist).text(filler).symbol(longEnd, 257).text(filler).bytes()},
		{"no distances, one used at the end", fresh().dynamic(true, longEnd, noDist).text("abc").symbol(longEnd, 257).bytes()},
		{"one distance, used", fresh().dynamic(true, longEnd, code{1}).text(filler).match(3, 1).text(filler).end().bytes()},
		{"one distance, the other used", fresh().dynamic(true, longEnd, code{1}).text(filler).symbol(longEnd, 257).bits(1, 1).text(filler).bytes()},
		{"one distance of two bits", fresh().dynamic(true, longEnd, code{2}).text(filler).end().bytes()},
		{"long distance codes", fresh().dynamic(true, longEnd, stairs(30, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 10, 11, 12, 13, 14, 15)).text(filler).match(3, 90).match(258, 60).match(258, 1).end().bytes()},
		{"only an end", fresh().dynamic(true, with(make(code, 257), endOfBlock, 1), noDist).end().bytes()},
		{"only an end, the other used", fresh().dynamic(true, with(make(code, 257), endOfBlock, 1), noDist).bits(1, 1).bits(0, 48).bytes()},
		{"no literals", fresh().dynamic(true, make(code, 257), noDist).bits(0, 48).bytes()},
		{"no code lengths", fresh().lens(true, 257, 1, make(code, 19)).bytes()},
		{"one code length", fresh().lens(true, 257, 1, with(make(code, 19), 18, 1)).bits(0x7f<<1, 8).bits(109<<1, 8).bits(0, 1).bits(0, 7).bits(0, 48).bytes()},
		{"one code length, the other used", fresh().lens(true, 257, 1, with(make(code, 19), 18, 1)).bits(0xff, 8).bits(0, 48).bytes()},
		{"incomplete code lengths", fresh().lens(true, 257, 1, with(plainLens, 3, 0)).bits(0, 48).bytes()},
		{"too many code lengths", fresh().lens(true, 257, 1, with(plainLens, 3, 1)).bits(0, 48).bytes()},
		{"repeat without a length", fresh().lens(true, 257, 1, plainLens).symbol(plainLens, 16).bytes()},
		{"repeat past the end", runs(fresh(), 257, 1, 18, 127, 18, 127).bytes()},
		{"zeros past the end", runs(fresh(), 257, 1, 18, 127, 18, 108, 17, 7).bytes()},
		{"lengths run into distances", runs(fresh(), 257, 4, 18, 127, 18, 104, 2, -1, 2, -1, 16, 1, 1, -1).bits(0, 48).bytes()},
		{"widest symbols", widest(fresh())},
		{"nested gzip in stored", fresh().stored(false, nested()).stored(true, nested()).bytes()},
	}
	for _, n := range []int{windowSize - 1, windowSize, windowSize + 1} {
		c := fresh()
		for left := n; left > 0; left -= min(left, 65535) {
			c.stored(false, bytes.Repeat([]byte("0123456789"), 6600)[:min(left, 65535)])
		}
		list = append(list, namedStream{fmt.Sprintf("farthest match after %d bytes", n), c.fixed(true).match(258, windowSize).text(filler).end().bytes()})
	}
	return list
}

// runs is a dynamic header up to code lengths in pairs of symbol and extra
// value; -1 for none.
func runs(c *crafter, lits, dists int, pairs ...int) *crafter {
	c.lens(true, lits, dists, plainLens)
	width := map[int]uint{16: 2, 17: 3, 18: 7}
	for i := 0; i < len(pairs); i += 2 {
		c.symbol(plainLens, pairs[i]).bits(uint64(pairs[i+1]), width[pairs[i]])
	}
	return c
}

// widest has two literals, then a match with as many bits as there can be, more
// than a bit buffer holds; and all narrower ones.
func widest(c *crafter) []byte {
	c.stored(false, bytes.Repeat([]byte("0123456789abc"), 3000))
	lit := stairs(286, 'a', 'b', 'c', 'd', 'e', endOfBlock, 'g', 'h', 'i', 'j', 'k', 257, 275, 283, 284, 285)
	dist := stairs(30, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 27, 28, 29)
	c.dynamic(true, lit, dist)
	for _, literals := range []string{"", "a", "k", "ka", "kk", "jk", "kkk", "gki"} {
		for _, length := range []int{3, 60, 226, 227, 240, 257, 258} {
			for _, distance := range []int{1, 50, 64, 12289, 16385, 24577, 32768} {
				c.text(literals).match(length, distance)
			}
		}
	}
	return c.end().bytes()
}

func nested() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(strings.Repeat("a manual page, packed by itself. ", 40)))
	w.Close()
	return b.Bytes()
}

// TestCrafted decodes every corner with nothing behind it, where the exact
// decoder works, and with zero padding behind it, where the core does.
func TestCrafted(t *testing.T) {
	z := NewReader(nil)
	for before := -1; before < 8; before += rounds(1, 7) {
		for _, s := range crafted(before) {
			t.Run(fmt.Sprintf("%s/%d", s.name, before), func(t *testing.T) {
				raw := member(s.raw)
				differ(t, z, append(slices.Clone(raw), make([]byte, 64)...), ways...)
				if before < 0 {
					differ(t, z, raw, ways...)
					differ(t, z, append(raw, raw...), ways...)
				}
			})
		}
	}
}

// TestCraftedDamaged cuts every corner at each byte and flips each bit of it.
func TestCraftedDamaged(t *testing.T) {
	z := NewReader(nil)
	for _, s := range crafted(-1) {
		if len(s.raw) > 2000 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			raw := member(s.raw)
			step := rounds(1, 23) // so that the next one is at another bit of its byte
			for n := 0; n < len(raw); n += step {
				differ(t, z, raw[:n], ways[0])
			}
			for i := 0; i < len(raw)*8; i += step {
				raw[i/8] ^= 1 << (i % 8)
				differ(t, z, append(slices.Clone(raw), make([]byte, 40*(i&1))...), ways[0])
				raw[i/8] ^= 1 << (i % 8)
			}
		})
	}
}

// TestEveryMatch copies with every distance up to 70 and length, at places that
// end at the end of a buffer too.
func TestEveryMatch(t *testing.T) {
	z := NewReader(nil)
	for dist := 1; dist <= 70; dist++ {
		c := new(crafter).fixed(true)
		for i := range dist {
			c.symbol(c.lit, 33+i)
		}
		for length := 3; length <= 258; length++ {
			c.match(length, dist).symbol(c.lit, length&0xff)
		}
		differ(t, z, append(member(c.end().bytes()), make([]byte, 64)...), ways[0], ways[2])
	}
}

func TestRandomCodes(t *testing.T) {
	z := NewReader(nil)
	for seed := range rounds(600, 16) {
		rng := rand.New(rand.NewPCG(1, uint64(seed)))
		raw := member(randomDeflate(rng, 1+rng.IntN(6), 1+rng.IntN(3000)))
		differ(t, z, raw, ways[seed%len(ways)])
		for range 20 {
			differ(t, z, raw[:rng.IntN(len(raw))], ways[0])
			hurt := slices.Clone(raw)
			hurt[rng.IntN(len(hurt))] ^= 1 << rng.IntN(8)
			differ(t, z, hurt, ways[0])
		}
	}
}
