// SPDX-License-Identifier: Apache-2.0

package inflate

// lenOrder is the order in which a block lists the lengths of its code length
// codes (RFC 1951 section 3.2.7).
var lenOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// lenSymbols are the entries of the code length code: the symbol alone.
var lenSymbols = func() (s [19]uint32) {
	for i := range s {
		s[i] = uint32(i) << entryValueAt
	}
	return s
}()

// dynamicHeader reads the codes of a block and builds its tables (RFC 1951
// section 3.2.7).
func (z *Reader) dynamicHeader() error {
	if !z.in.wantFast(14) {
		return z.in.missing()
	}
	lits, dists, lens := 257+z.in.take(5), 1+z.in.take(5), 4+z.in.take(4)
	if lits > maxLitCodes || dists > maxDistCode {
		return z.corruptHeader(0)
	}
	var lengths [19]uint8
	for _, sym := range lenOrder[:lens] {
		if !z.in.wantFast(3) {
			return z.in.missing()
		}
		lengths[sym] = uint8(z.in.take(3))
	}
	var table [1 << lenBits]uint32
	least, ok := build(table[:], lenBits, lengths[:], lenSymbols[:])
	if !ok {
		return z.corruptHeader(0)
	}
	var all [maxLitCodes + maxDistCode]uint8
	if err := z.codeLengths(all[:lits+dists], &table, least); err != nil {
		return err
	}
	return z.buildTables(all[:lits], all[lits:lits+dists])
}

// buildTables makes the block's own tables.
func (z *Reader) buildTables(lit, dist []uint8) error {
	var ok bool
	t := &z.own
	if t.litMin, ok = build(t.lit[:], litBits, lit, litSymbols[:]); !ok {
		return z.corruptHeader(0)
	}
	if t.distMin, ok = build(t.dist[:], distBits, dist, distSymbols[:]); !ok {
		return z.corruptHeader(0)
	}
	// Every block needs the code for its end, so that many bits must follow.
	t.litMin = max(t.litMin, uint(lit[endOfBlock]))
	z.in.align()
	return nil
}

// codeLengths reads the lengths of a block's codes, run-length coded with the
// code in table, whose shortest code has least bits.
func (z *Reader) codeLengths(lengths []uint8, table *[1 << lenBits]uint32, least uint) error {
	for i := 0; i < len(lengths); {
		// A code and its extra bits at once; at the end of the input fewer do.
		z.in.wantFast(lenBits + 7)
		e := table[z.in.bits&(1<<lenBits-1)]
		n := uint(e & entryTotal)
		if z.in.count < n {
			return z.in.missing()
		}
		if n == 0 {
			return z.corruptHeader(least)
		}
		z.in.drop(n)
		sym := uint8(e >> entryValueAt)
		if sym < 16 {
			lengths[i] = sym
			i++
			continue
		}
		value, repeat, err := z.lengthRun(sym, lengths[:i])
		if err != nil {
			return err
		}
		if repeat > len(lengths)-i {
			return z.corruptHeader(0)
		}
		for range repeat {
			lengths[i] = value
			i++
		}
	}
	return nil
}

// lengthRun reads how often a length is repeated: the one before, or zero.
func (z *Reader) lengthRun(sym uint8, before []uint8) (value uint8, repeat int, err error) {
	base, extra := 3, uint(2)
	switch sym {
	case 16:
		if len(before) == 0 {
			return 0, 0, z.corruptHeader(0)
		}
		value = before[len(before)-1]
	case 17:
		extra = 3
	case 18:
		base, extra = 11, 7
	}
	if !z.in.wantFast(extra) {
		return 0, 0, z.in.missing()
	}
	return value, base + int(z.in.take(extra)), nil
}

// corruptHeader is corrupt for a place that may have more bytes taken than it
// needed: it needed the bits consumed and so many more.
func (z *Reader) corruptHeader(needed uint) error {
	z.in.drop(needed)
	z.in.align()
	return z.corrupt()
}
