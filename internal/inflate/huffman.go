// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"math/bits"
	"sync"
)

const (
	litBits  = 11 // 8 KiB: small enough for the first-level caches of old ARM cores
	distBits = 9
	lenBits  = 7 // code length codes have no longer codes

	// The most entries a complete code can need, subtables and all, is 2342 of
	// 288 symbols with 11 bits and 594 of 32 symbols with 9 bits; powers of two
	// let the core mask its index, which keeps it inside the array whatever the
	// table says.
	litSize  = 4096
	distSize = 1024
)

// tables decode one block of compressed data. They are one structure so that
// the core holds one address of them.
type tables struct {
	lit  [litSize]uint32
	dist [distSize]uint32
	// litMin and distMin are how many bits to have before looking at a code.
	// They decide where a stream that is cut off stops: see Reader.symbol.
	litMin, distMin uint
}

// build fills table with the canonical code (RFC 1951 section 3.2.2) that has
// the given code lengths. A code must be complete, but an empty one and a
// single code of one bit are allowed too. It returns the shortest length.
func build(table []uint32, indexBits int, lengths []uint8, symbols []uint32) (shortest uint, ok bool) {
	var count [maxCodeLen + 1]uint16
	for _, n := range lengths {
		count[n&maxCodeLen]++
	}
	shortestLen, longest := span(&count)
	if longest == 0 {
		for i := range 1 << indexBits {
			table[i] = entryOdd
		}
		return 0, true
	}
	code := 0
	for n := shortestLen; n <= longest; n++ {
		code = code<<1 + int(count[n])
	}
	if code == 1 && longest == 1 {
		buildSingle(table[:1<<indexBits], lengths, symbols)
		return 1, true
	}
	if code != 1<<longest {
		return 0, false
	}
	var sorted [288]uint16
	sortByLength(&sorted, &count, lengths)
	f := filler{table: table, indexBits: indexBits, count: &count, symbols: symbols}
	rest := f.fillIndex(sorted[:], shortestLen, min(longest, indexBits))
	if longest > indexBits {
		f.fillSubtables(rest, longest)
	}
	return uint(shortestLen), true
}

// span returns the shortest and the longest length that occurs, or zeros.
func span(count *[maxCodeLen + 1]uint16) (shortest, longest int) {
	for n := 1; n <= maxCodeLen; n++ {
		if count[n] == 0 {
			continue
		}
		if shortest == 0 {
			shortest = n
		}
		longest = n
	}
	return shortest, longest
}

// buildSingle is the code of one symbol: the bit 0; the bit 1 stays without.
func buildSingle(table []uint32, lengths []uint8, symbols []uint32) {
	var entry uint32
	for sym, n := range lengths {
		if n == 1 {
			entry = symbols[sym] + entryPerBit
		}
	}
	for i := 0; i < len(table); i += 2 {
		table[i], table[i+1] = entry, entryOdd
	}
}

// sortByLength lists the symbols that have a code by length, then by value.
func sortByLength(sorted *[288]uint16, count *[maxCodeLen + 1]uint16, lengths []uint8) {
	var at [maxCodeLen + 1]uint16
	for n := 1; n < maxCodeLen; n++ {
		at[n+1] = at[n] + count[n]
	}
	for sym, n := range lengths {
		if n != 0 {
			sorted[at[n&maxCodeLen]] = uint16(sym)
			at[n&maxCodeLen]++
		}
	}
}

// filler writes the entries of a complete code. It counts codes upwards with
// their bits reversed, since the stream sends the first bit of a code first.
type filler struct {
	table     []uint32
	indexBits int
	count     *[maxCodeLen + 1]uint16
	symbols   []uint32
	code      uint // the next code, reversed
}

// next moves on to the following code of n bits.
func (f *filler) next(n int) {
	// Adding one to a reversed number: the highest zero becomes one and the
	// ones above it zero.
	zeros := ^f.code & (1<<n - 1)
	if zeros == 0 {
		return
	}
	bit := uint(1) << (bits.Len(zeros) - 1)
	f.code = f.code&(bit-1) | bit
}

// fillIndex writes the codes of up to longest bits and returns the symbols with
// longer ones. A table of n bits is written once and doubled for n+1.
func (f *filler) fillIndex(sorted []uint16, shortest, longest int) []uint16 {
	for n := shortest; n <= longest; n++ {
		for _, sym := range sorted[:f.count[n]] {
			f.table[f.code] = f.symbols[sym] + uint32(n)*entryPerBit
			f.next(n)
		}
		sorted = sorted[f.count[n]:]
		if n < f.indexBits {
			copy(f.table[1<<n:2<<n], f.table[:1<<n])
		}
	}
	for n := longest + 1; n < f.indexBits; n++ {
		copy(f.table[1<<n:2<<n], f.table[:1<<n])
	}
	return sorted
}

// fillSubtables writes the codes longer than the index: one subtable for each
// value of the index that begins such codes, as large as its longest code asks.
func (f *filler) fillSubtables(sorted []uint16, longest int) {
	mask := uint(1)<<f.indexBits - 1
	end := 1 << f.indexBits
	prefix, start, width := ^uint(0), 0, 0
	for n := f.indexBits + 1; n <= longest; n++ {
		for i := range f.count[n] {
			if f.code&mask != prefix {
				prefix, start = f.code&mask, end
				width = f.width(n, int(f.count[n]-i))
				end += 1 << width
				f.table[prefix] = entryOdd | entrySub | uint32(start)<<entryValueAt | (1<<width - 1)
			}
			entry := f.symbols[sorted[0]] + uint32(n)*entryPerBit
			sorted = sorted[1:]
			for j := int(f.code >> f.indexBits); j < 1<<width; j += 1 << (n - f.indexBits) {
				f.table[start+j] = entry
			}
			f.next(n)
		}
	}
}

// width is the number of bits of the subtable that begins with a code of n bits
// when so many codes of that length are left.
func (f *filler) width(n, left int) int {
	width := n - f.indexBits
	for room := 1<<width - left; room > 0; {
		width++
		room = room<<1 - int(f.count[width+f.indexBits])
	}
	return width
}

// fixedTables are the tables of blocks with fixed codes (RFC 1951 section
// 3.2.6).
var fixedTables = sync.OnceValue(func() *tables {
	var lit [288]uint8
	for i := range lit {
		switch {
		case i < 144:
			lit[i] = 8
		case i < 256:
			lit[i] = 9
		case i < 280:
			lit[i] = 7
		default:
			lit[i] = 8
		}
	}
	var dist [32]uint8
	for i := range dist {
		dist[i] = 5
	}
	t := new(tables)
	t.litMin, _ = build(t.lit[:], litBits, lit[:], litSymbols[:])
	t.distMin, _ = build(t.dist[:], distBits, dist[:], distSymbols[:])
	return t
})
