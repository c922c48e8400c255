// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"hash/crc32"
	"io"
	"math/bits"
)

// writeHole has n zeros follow what was written to w: as a hole on a disk, and
// as zeros to any other writer.
func writeHole(w io.Writer, n int64) error {
	if d, ok := w.(descriptor); ok {
		return d.writeHole(n)
	}
	zeros := make([]byte, min(n, 64<<10))
	for n > 0 {
		m, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	return nil
}

// sumZeros is the CRC-32C of what has the sum and n zeros behind it. A hole can
// be as large as a disk: so the time it takes grows with the digits of n.
//
// A sum is a polynomial modulo that of CRC-32C, and a zero byte multiplies it by
// x^8. crc32 keeps its sums inverted.
func sumZeros(sum uint32, n int64) uint32 {
	sum = ^sum
	power := uint32(1) << (31 - 8) // x^8, the coefficient of x^0 being the highest bit
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			sum = multiply(sum, power)
		}
		power = multiply(power, power)
	}
	return ^sum
}

// multiply is the product of two polynomials modulo that of CRC-32C.
func multiply(a, b uint32) (product uint32) {
	for ; a != 0; a &^= 1 << (31 - bits.LeadingZeros32(a)) {
		term := b
		for range bits.LeadingZeros32(a) {
			low := term & 1
			term >>= 1
			if low != 0 {
				term ^= crc32.Castagnoli
			}
		}
		product ^= term
	}
	return product
}
