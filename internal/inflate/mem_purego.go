// SPDX-License-Identifier: Apache-2.0

//go:build purego || !(amd64 || arm64 || 386 || arm.6)

package inflate

import "encoding/binary"

// mem is memory with bounds checks.
type mem = []byte

func memOf(b []byte) mem { return b }

//lint:ignore U1000 only the 32-bit core wants it
func load32(m mem, i int) uint32 { return binary.LittleEndian.Uint32(m[i:]) }

func load64(m mem, i int) uint64 { return binary.LittleEndian.Uint64(m[i:]) }

func store8(m mem, i int, v byte) { m[i] = v }

//lint:ignore U1000 only the 32-bit core wants it
func store32(m mem, i int, v uint32) { binary.LittleEndian.PutUint32(m[i:], v) }

func store64(m mem, i int, v uint64) { binary.LittleEndian.PutUint64(m[i:], v) }

// copy16 copies 16 bytes, which must not overlap.
//
//lint:ignore U1000 only the 64-bit core wants it
func copy16(m mem, dst, src int) {
	*(*[16]byte)(m[dst:]) = *(*[16]byte)(m[src:])
}
