// SPDX-License-Identifier: Apache-2.0

// Package filesum sums up the content of files as journals have it: CRC-32C
// (Castagnoli), see [hash/crc32].
package filesum

import (
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
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

// OfFile is the sum of a file's content, and how long that is. Holes are not
// read where the filesystem says which they are (SEEK_DATA of lseek(2)): a layer
// of a few bytes may have a file of as many as the filesystem allows.
func OfFile(f *os.File) (sum uint32, n int64, err error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	for n < size {
		begin, end, err := nextData(f, n, size)
		if err != nil {
			return sum, n, err
		}
		sum, n = AddZeros(sum, begin-n), begin
		if _, err := f.Seek(begin, io.SeekStart); err != nil {
			return sum, n, err
		}
		to := adder(sum)
		read, err := io.Copy(&to, io.LimitReader(f, end-begin))
		sum, n = uint32(to), n+read
		if err != nil || n < end { // an error, or it became shorter meanwhile
			return sum, n, err
		}
	}
	return sum, n, nil
}

// nextData is the first range of f with data at or behind the offset.
func nextData(f *os.File, offset, size int64) (begin, end int64, err error) {
	begin, err = f.Seek(offset, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // nothing but a hole
		return size, size, nil
	case errors.Is(err, unix.EINVAL):
		return offset, size, nil // it does not tell
	case err != nil:
		return 0, 0, err
	}
	if end, err = f.Seek(begin, unix.SEEK_HOLE); err != nil {
		return 0, 0, err
	}
	return min(begin, size), min(end, size), nil
}

// adder is the sum of what was written to it.
type adder uint32

func (a *adder) Write(b []byte) (int, error) {
	*a = adder(Add(uint32(*a), b))
	return len(b), nil
}
