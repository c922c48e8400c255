// SPDX-License-Identifier: Apache-2.0

//go:build 386 || arm || mips || mipsle

package inflate

// run decodes symbols while there is plenty of input and output. The bit buffer
// is one machine word: a refill leaves at least 24 bits, enough for two
// literals from the index, for a match length with its extra bits, or for a
// distance code; the extra bits of a distance have a refill of their own.
//
// What it cannot rule on it leaves to the exact decoder: it stops before the
// symbol, with the input as it was.
//
// It is one function because its variables must stay in registers.
func (c *core) run(t *tables) verdict {
	in, out := memOf(c.in), memOf(c.out)
	ip, op := c.ip, c.op
	bb, bc := uint32(c.bits), uint32(c.count)
	lastIn, limit := len(c.in)-inMargin, c.limit
	v := starved
	for ip <= lastIn && op < limit {
		ip, bb, bc = refill(in, ip, bb, bc)
		e := t.lit[bb&(1<<litBits-1)]
		if int32(e) < 0 {
			bb >>= e & 31
			bc -= e & 31
			store8(out, op, byte(e>>entryValueAt))
			op++
			e = t.lit[bb&(1<<litBits-1)]
			if int32(e) < 0 {
				bb >>= e & 31
				bc -= e & 31
				store8(out, op, byte(e>>entryValueAt))
				op++
				continue
			}
			ip, bb, bc = refill(in, ip, bb, bc)
		}
		if e&entryOdd != 0 {
			if e&entrySub != 0 {
				e = t.lit[(e>>entryValueAt+bb>>litBits&(e&entryMask))&(litSize-1)]
			}
			if int32(e) < 0 {
				bb >>= e & 31
				bc -= e & 31
				store8(out, op, byte(e>>entryValueAt))
				op++
				continue
			}
			if e&entryOdd != 0 {
				if e&entryEnd == 0 {
					v = odd
					break
				}
				bb >>= e & 31
				bc -= e & 31
				v = ended
				break
			}
		}
		extra := bb & (1<<(e&31) - 1) >> (e >> entryLenAt & entryLenMask)
		length := int(e>>entryValueAt + extra)
		bb >>= e & 31
		bc -= e & 31

		start := ip*8 - int(bc) - int(e&31)
		ip, bb, bc = refill(in, ip, bb, bc)
		d := t.dist[bb&(1<<distBits-1)]
		if d&entryOdd != 0 && d&entrySub != 0 {
			d = t.dist[(d>>entryValueAt+bb>>distBits&(d&entryMask))&(distSize-1)]
		}
		n := d >> entryLenAt & entryLenMask
		bb >>= n
		bc -= n
		if n = d&31 - n; bc < n {
			ip, bb, bc = refill(in, ip, bb, bc)
		}
		dist := int(d>>entryValueAt&0x7fff + bb&(1<<(n&31)-1))
		bb >>= n & 31
		bc -= n
		// An unused or forbidden code has entryOdd.
		if d&entryOdd != 0 || dist > op-c.base {
			ip, bc = start>>3+1, uint32(8-start&7)
			v = odd
			break
		}
		copyMatch(out, op, dist, length)
		op += length
	}
	c.op = op
	c.seek(ip*8 - int(bc))
	return v
}

// copyMatch copies a match a word at a time. It may write up to 7 bytes past
// its end.
func copyMatch(out mem, op, dist, length int) {
	end := op + length
	if dist < 4 {
		repeat(out, op, dist, end)
		return
	}
	for src := op - dist; op < end; op += 4 {
		store32(out, op, load32(out, src))
		src += 4
	}
}

// refill takes as many whole bytes as fit, with one load: the bits above count
// that it leaves are those that the next refill puts there again.
func refill(in mem, ip int, bits, count uint32) (int, uint32, uint32) {
	return ip + int((31-count)>>3), bits | load32(in, ip)<<(count&31), count | 24
}
