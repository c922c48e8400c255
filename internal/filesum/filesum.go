// SPDX-License-Identifier: Apache-2.0

// Package filesum sums up the content of files as journals have it: CRC-32C
// (Castagnoli), see [hash/crc32].
package filesum

import (
	"hash"
	"hash/crc32"
	"math/bits"
)

// castagnoli makes the sums; the standard library makes its table once.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// New sums up what is written to it.
func New() hash.Hash32 { return crc32.New(castagnoli()) }

// Of is the sum of b.
func Of(b []byte) uint32 { return crc32.Checksum(b, castagnoli()) }

// Add is the sum of what has the sum and b behind it.
func Add(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli(), b) }

// AddZeros is the sum of what has the sum and n zeros behind it. A hole can
// be as large as a disk: so the time it takes grows with the digits of n.
//
// A sum is a polynomial modulo that of CRC-32C, and a zero byte multiplies it by
// x^8. crc32 keeps its sums inverted.
func AddZeros(sum uint32, n int64) uint32 {
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
