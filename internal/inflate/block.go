// SPDX-License-Identifier: Apache-2.0

package inflate

// block reads the header of a block (RFC 1951 section 3.2.3).
func (z *Reader) block() error {
	if !z.in.want(3) {
		return z.in.missing()
	}
	z.final = z.in.take(1) == 1
	switch z.in.take(2) {
	case 0:
		return z.storedHeader()
	case 1:
		z.tables = fixedTables()
		z.step = inCodes
		return nil
	case 2:
		z.tables = &z.own
		z.step = inCodes
		return z.dynamicHeader()
	default:
		return z.corrupt()
	}
}

// endBlock sets the next step after a block.
func (z *Reader) endBlock() {
	z.step = atBlock
	if z.final {
		z.step = atTrailer
	}
}

// storedHeader reads the length of a stored block and its complement.
func (z *Reader) storedHeader() error {
	z.in.skipToByte()
	var b [4]byte
	if err := z.in.readFull(b[:]); err != nil {
		return err
	}
	n, complement := uint16(b[0])|uint16(b[1])<<8, uint16(b[2])|uint16(b[3])<<8
	if n != ^complement {
		return z.corrupt()
	}
	z.stored = int(n)
	z.step = inStored
	return nil
}

// copyStored copies those bytes of a stored block that are in the input buffer.
func (z *Reader) copyStored(o *output) error {
	if z.stored == 0 {
		z.endBlock()
		return nil
	}
	if z.in.ip == z.in.n && !z.in.more() {
		return z.in.missing()
	}
	n := min(z.stored, o.limit-o.op, z.in.n-z.in.ip)
	copy(o.mem[o.op:], z.in.buf[z.in.ip:z.in.ip+n])
	z.in.ip += n
	o.op += n
	z.stored -= n
	return nil
}

// codes decodes compressed data until the block ends, the output is full or an
// error stops it.
func (z *Reader) codes(o *output) error {
	for z.step == inCodes && o.op < o.limit {
		if z.in.n-z.in.ip < inMargin && z.in.err == nil {
			z.in.more()
			continue
		}
		if z.in.n-z.in.ip >= inMargin {
			z.in.align()
			if v := z.runCore(o); v == ended {
				z.endBlock()
				return nil
			} else if v == starved {
				continue
			}
		}
		if err := z.exact(o); err != nil {
			return err
		}
	}
	return nil
}

// runCore lets the core decode from the input buffer into the output.
func (z *Reader) runCore(o *output) verdict {
	c := core{
		in: z.in.buf[:z.in.n], ip: z.in.ip, bits: uint(z.in.bits), count: z.in.count,
		out: o.mem, op: o.op, base: o.base, limit: o.limit,
	}
	v := c.run(z.tables)
	z.in.ip, z.in.bits, z.in.count = c.ip, uint64(c.bits), c.count
	o.op = c.op
	return v
}
