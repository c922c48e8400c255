// SPDX-License-Identifier: Apache-2.0

package inflate

// The exact decoder takes one symbol at a time and one byte at a time, as
// compress/flate does: near the end of the input, and wherever the core found
// something odd. What it rejects, and where, is what compress/flate rejects.

// symbol looks up the next code of a table without consuming it. It takes the
// bytes for least bits first, and then what the code asks; a code cannot be
// longer than its entry says when zeros stand for the bits not taken yet.
func (z *Reader) symbol(table []uint32, indexBits int, least uint) (uint32, error) {
	for n := least; ; {
		if !z.in.want(n) {
			return 0, z.in.missing()
		}
		e := table[z.in.bits&(1<<indexBits-1)]
		if e&entrySub != 0 && e&entryOdd != 0 {
			i := uint64(e>>entryValueAt) + z.in.bits>>indexBits&uint64(e&entryMask)
			e = table[i&uint64(len(table)-1)]
		}
		n = uint(e >> entryLenAt & entryLenMask)
		if n == 0 {
			return 0, z.corrupt()
		}
		if n <= z.in.count {
			return e, nil
		}
	}
}

// value consumes a code with its extra bits and returns the length or distance.
func (z *Reader) value(e uint32) (int, error) {
	n := uint(e >> entryLenAt & entryLenMask)
	z.in.drop(n)
	if e&entryOdd != 0 {
		return 0, z.corrupt()
	}
	extra := uint(e&entryTotal) - n
	if !z.in.want(extra) {
		return 0, z.in.missing()
	}
	return int(e>>entryValueAt&0x7fff) + int(z.in.take(extra)), nil
}

// exact decodes one symbol of the block: a literal, a match, or the end.
func (z *Reader) exact(o *output) error {
	t := z.tables
	e, err := z.symbol(t.lit[:], litBits, t.litMin)
	if err != nil {
		return err
	}
	if e&entryLiteral != 0 {
		z.in.drop(uint(e >> entryLenAt & entryLenMask))
		o.mem[o.op] = byte(e >> entryValueAt)
		o.op++
		return nil
	}
	if e&entryOdd != 0 && e&entryEnd != 0 {
		z.in.drop(uint(e >> entryLenAt & entryLenMask))
		z.endBlock()
		return nil
	}
	length, err := z.value(e)
	if err != nil {
		return err
	}
	e, err = z.symbol(t.dist[:], distBits, t.distMin)
	if err != nil {
		return err
	}
	dist, err := z.value(e)
	if err != nil {
		return err
	}
	if dist > o.op-o.base {
		return z.corrupt()
	}
	for range length {
		o.mem[o.op] = o.mem[o.op-dist]
		o.op++
	}
	return nil
}

// corrupt is the error for damage proved by the bytes taken so far.
func (z *Reader) corrupt() error {
	return &FormatError{errCorrupt, z.in.offset()}
}
