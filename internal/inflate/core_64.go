// SPDX-License-Identifier: Apache-2.0

//go:build !(386 || arm || mips || mipsle)

package inflate

// run decodes symbols while there is plenty of input and output. The bit buffer
// is 64 bits wide: a refill leaves at least 56, enough for two literals from
// the index and a match length, or for a match length and its distance.
//
// What it cannot rule on it leaves to the exact decoder: it stops before the
// symbol, with the input as it was.
//
// Only the lowest byte of bc counts bits. Whole entries are taken off it, which
// spares an instruction for each symbol: theirs is the number to consume.
//
// It is one function because its variables must stay in registers.
func (c *core) run(t *tables) verdict {
	in, out := memOf(c.in), memOf(c.out)
	ip, op := c.ip, c.op
	bb, bc := uint64(c.bits), uint64(c.count)
	lastIn, limit, base := len(c.in)-inMargin, c.limit, c.base
	v := starved

	ip, bb, bc = refill(in, ip, bb, bc)
	e := t.lit[bb&(1<<litBits-1)]
	for {
		if int32(e) < 0 {
			bb >>= e & entryTotal
			bc -= uint64(e)
			store8(out, op, byte(e>>entryValueAt))
			op++
			e = t.lit[bb&(1<<litBits-1)]
			if int32(e) < 0 {
				bb >>= e & entryTotal
				bc -= uint64(e)
				store8(out, op, byte(e>>entryValueAt))
				op++
				e = t.lit[bb&(1<<litBits-1)]
				if int32(e) < 0 {
					bb >>= e & entryTotal
					bc -= uint64(e)
					store8(out, op, byte(e>>entryValueAt))
					op++
					goto again
				}
			}
		}
		if e&entryOdd != 0 {
			if e&entrySub != 0 {
				e = t.lit[(uint64(e>>entryValueAt)+bb>>litBits&uint64(e&entryMask))&(litSize-1)]
			}
			if int32(e) < 0 {
				bb >>= e & entryTotal
				bc -= uint64(e)
				store8(out, op, byte(e>>entryValueAt))
				op++
				goto again
			}
			if e&entryOdd != 0 {
				if e&entryEnd == 0 {
					v = odd
					break
				}
				bb >>= e & entryTotal
				bc -= uint64(e)
				v = ended
				break
			}
		}
		{
			extra := bb & (1<<(e&entryTotal) - 1) >> (e >> entryLenAt & entryLenMask)
			length := int(e>>entryValueAt) + int(extra)
			bb >>= e & entryTotal
			bc -= uint64(e)
			if uint8(bc) < 28 {
				ip, bb, bc = refill(in, ip, bb, bc)
			}
			d := t.dist[bb&(1<<distBits-1)]
			if d&entryOdd != 0 && d&entrySub != 0 {
				d = t.dist[(uint64(d>>entryValueAt)+bb>>distBits&uint64(d&entryMask))&(distSize-1)]
			}
			extra = bb & (1<<(d&entryTotal) - 1) >> (d >> entryLenAt & entryLenMask)
			dist := int(d>>entryValueAt) + int(extra)
			// An unused or forbidden code gives a distance of zero.
			if uint(dist-1) >= uint(op-base) {
				bc += uint64(e)
				v = odd
				break
			}
			bb >>= d & entryTotal
			bc -= uint64(d)

			// The next entry is under way while the match is copied.
			ip, bb, bc = refill(in, ip, bb, bc)
			e = t.lit[bb&(1<<litBits-1)]

			src, end := op-dist, op+length
			switch {
			case dist >= 16:
				// Nearly every match ends here, without a branch to guess.
				copy16(out, op, src)
				copy16(out, op+16, src+16)
				for op += 32; op < end; op += 16 {
					copy16(out, op, op-dist)
				}
			case dist >= 8:
				for ; op < end; op += 8 {
					store64(out, op, load64(out, src))
					src += 8
				}
			default:
				repeat(out, op, dist, end)
			}
			op = end
			if ip > lastIn || op >= limit {
				break
			}
			continue
		}
	again:
		if ip > lastIn || op >= limit {
			break
		}
		ip, bb, bc = refill(in, ip, bb, bc)
		e = t.lit[bb&(1<<litBits-1)]
	}
	c.op = op
	c.seek(ip*8 - int(uint8(bc)))
	return v
}

// refill takes as many whole bytes as fit, with one load: the bits above count
// that it leaves are those that the next refill puts there again.
func refill(in mem, ip int, bits, count uint64) (int, uint64, uint64) {
	return ip + int(^count>>3&7), bits | load64(in, ip)<<(count&63), count | 56
}
