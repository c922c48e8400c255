// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"math/rand/v2"
	"testing"
)

// TestBuild looks up every string of 15 bits and compares with a decoder that
// goes through the code bit by bit.
func TestBuild(t *testing.T) {
	var table [litSize]uint32
	for seed := range rounds(40, 3) {
		rng := rand.New(rand.NewPCG(5, uint64(seed)))
		lengths := randomCode(rng, 257+rng.IntN(30), endOfBlock)
		indexBits := []int{litBits, distBits}[seed%2]
		for i := range table {
			table[i] = 0xdeadbeef
		}
		if _, ok := build(table[:], indexBits, lengths, litSymbols[:]); !ok {
			t.Fatalf("seed %d: complete code refused", seed)
		}
		for v := range uint32(1 << maxCodeLen) {
			got := table[v&(1<<indexBits-1)]
			if got&entryOdd != 0 && got&entrySub != 0 {
				got = table[got>>entryValueAt+v>>indexBits&(got&entryMask)]
			}
			sym := slowLookup(lengths, v)
			if want := litSymbols[sym] + uint32(lengths[sym])*entryPerBit; got != want {
				t.Fatalf("seed %d, bits %015b: got %08x, want %08x (symbol %d)", seed, v, got, want, sym)
			}
		}
	}
}

// slowLookup decodes by counting the codes of each length.
func slowLookup(lengths code, v uint32) int {
	first, value := 0, 0
	for n := uint8(1); ; n++ {
		value = value<<1 | int(v&1)
		v >>= 1
		first <<= 1
		for sym, have := range lengths {
			if have != n {
				continue
			}
			if first == value {
				return sym
			}
			first++
		}
	}
}

// TestTablesHold builds the codes that need the most entries: the core masks
// its index by the sizes of the tables.
func TestTablesHold(t *testing.T) {
	for seed := range 500 {
		rng := rand.New(rand.NewPCG(6, uint64(seed)))
		var lit [litSize]uint32
		var dist [distSize]uint32
		if _, ok := build(lit[:], litBits, randomCode(rng, 286, endOfBlock), litSymbols[:]); !ok {
			t.Fatal("literal code refused")
		}
		if _, ok := build(dist[:], distBits, randomCode(rng, 30, 0), distSymbols[:]); !ok {
			t.Fatal("distance code refused")
		}
	}
}
