// SPDX-License-Identifier: Apache-2.0

//go:build !purego && (amd64 || arm64 || 386 || arm.6)

package inflate

import "unsafe"

// The machines named above are little endian and load words from any address.
// 32-bit ARM does so from ARMv6 on, and only with plain word loads, so nothing
// here asks for a wider type there.

// mem is memory without bounds checks. The code that makes one must ensure that
// every index used with it is valid.
type mem = unsafe.Pointer

func memOf(b []byte) mem { return unsafe.Pointer(unsafe.SliceData(b)) }

//lint:ignore U1000 only the 32-bit core wants it
func load32(m mem, i int) uint32 { return *(*uint32)(unsafe.Add(m, i)) }

func load64(m mem, i int) uint64 { return *(*uint64)(unsafe.Add(m, i)) }

func store8(m mem, i int, v byte) { *(*byte)(unsafe.Add(m, i)) = v }

//lint:ignore U1000 only the 32-bit core wants it
func store32(m mem, i int, v uint32) { *(*uint32)(unsafe.Add(m, i)) = v }

func store64(m mem, i int, v uint64) { *(*uint64)(unsafe.Add(m, i)) = v }

// copy16 copies 16 bytes, which must not overlap.
//
//lint:ignore U1000 only the 64-bit core wants it
func copy16(m mem, dst, src int) {
	*(*[16]byte)(unsafe.Add(m, dst)) = *(*[16]byte)(unsafe.Add(m, src))
}
