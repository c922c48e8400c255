// SPDX-License-Identifier: Apache-2.0

package inflate

// An entry of a decoding table is one code, packed so that a literal or a match
// length needs one load:
//
//	bits  0-5   bits to consume, the code and the extra bits after it; or the
//	            mask of a subtable's index
//	bits  6-7   zero
//	bits  8-11  length of the code alone; 0 means that no code is there
//	bits 16-30  the literal, the base of the length or distance, or the start
//	            of a subtable
//	bit  31     entryLiteral
//
// Entries with entryOdd are exceptions: with entrySub the code is longer than the
// table's index and continues in a subtable of up to 6 bits; with entryEnd it is the
// end of the block; with neither it is a symbol that must not occur.
const (
	entryTotal   = 0x3f
	entryMask    = entryTotal
	entryLenAt   = 8
	entryLenMask = 15
	entryEnd     = 1 << 13
	entrySub     = 1 << 14
	entryOdd     = 1 << 15
	entryValueAt = 16
	entryLiteral = 1 << 31

	// entryPerBit is added once for each bit of the code's length.
	entryPerBit = 1 | 1<<entryLenAt
)

const (
	endOfBlock  = 256
	maxLitCodes = 286 // RFC 1951 section 3.2.7; 286 and 287 must not occur
	maxDistCode = 30  // 30 and 31 must not occur
	maxCodeLen  = 15
)

// litSymbols and distSymbols are the entries of every symbol before the length
// of its code is added (RFC 1951 section 3.2.5).
var (
	litSymbols  = makeLitSymbols()
	distSymbols = makeDistSymbols()
)

func makeLitSymbols() (s [288]uint32) {
	for i := range endOfBlock {
		s[i] = entryLiteral | uint32(i)<<entryValueAt
	}
	s[endOfBlock] = entryOdd | entryEnd
	base := uint32(3)
	for i := uint32(0); i < 28; i++ {
		extra := uint32(0)
		if i >= 8 {
			extra = i/4 - 1
		}
		s[257+i] = base<<entryValueAt | extra
		base += 1 << extra
	}
	s[285] = 258 << entryValueAt
	s[286], s[287] = entryOdd, entryOdd
	return s
}

func makeDistSymbols() (s [32]uint32) {
	base := uint32(1)
	for i := range uint32(maxDistCode) {
		extra := uint32(0)
		if i >= 4 {
			extra = i/2 - 1
		}
		s[i] = base<<entryValueAt | extra
		base += 1 << extra
	}
	s[30], s[31] = entryOdd, entryOdd
	return s
}
