// SPDX-License-Identifier: Apache-2.0

package erofs

import "io"

// mostChunks bounds the map of one sparse file, but for one of more than 2 TiB
// of holes.
const mostChunks = 1 << 16

// mapped is a file whose content is not one extent at a block: it has a map of
// chunks. A chunk without data is a hole, one that lies at a block of the
// device as it is points there, and any other is copied into the index.
type mapped struct {
	bits    int // logarithm of the blocks of a chunk
	size    int64
	extents []Extent
}

func newMapped(size int64, extents []Extent) *mapped {
	m := &mapped{bits: 3, size: size, extents: extents}
	for m.chunks() > mostChunks && m.bits < maxChunkBits {
		m.bits++
	}
	return m
}

func (m *mapped) chunkSize() int64 { return BlockSize << m.bits }

func (m *mapped) chunks() int64 { return (m.size + m.chunkSize() - 1) / m.chunkSize() }

// each calls f for each chunk: with its extents, none for a hole, and where it
// is on the device if it need not be copied, else -1.
func (m *mapped) each(f func(chunk int64, parts []Extent, at int64) error) error {
	rest := m.extents
	for c := range m.chunks() {
		begin, end := c*m.chunkSize(), min((c+1)*m.chunkSize(), m.size)
		for len(rest) > 0 && rest[0].Offset+rest[0].Size <= begin {
			rest = rest[1:]
		}
		n := 0
		for n < len(rest) && rest[n].Offset < end {
			n++
		}
		at := int64(-1)
		if n == 1 && rest[0].Offset <= begin && rest[0].Offset+rest[0].Size >= end {
			if at = rest[0].At + begin - rest[0].Offset; at%BlockSize != 0 {
				at = -1
			}
		}
		if err := f(c, rest[:n], at); err != nil {
			return err
		}
	}
	return nil
}

// copied is how many chunks have to be copied.
func (m *mapped) copied() (n int64) {
	_ = m.each(func(_ int64, parts []Extent, at int64) error { // f has no error
		if len(parts) > 0 && at < 0 {
			n++
		}
		return nil
	})
	return n
}

// appendMap appends the map; the copied chunks stand from the block next on.
func (m *mapped) appendMap(to []byte, device uint16, next uint32) []byte {
	_ = m.each(func(_ int64, parts []Extent, at int64) error { // f has no error
		switch {
		case len(parts) == 0:
			to = appendChunk(to, 0, hole)
		case at >= 0:
			to = appendChunk(to, device, uint32(at/BlockSize))
		default:
			to = appendChunk(to, 0, next)
			next += 1 << m.bits
		}
		return nil
	})
	return to
}

// copyTo writes the chunks that are copied from a place on. Their holes are zeros.
func (m *mapped) copyTo(w io.WriterAt, place int64, d Device) error {
	buf := make([]byte, 0)
	return m.each(func(c int64, parts []Extent, at int64) error {
		if len(parts) == 0 || at >= 0 {
			return nil
		}
		if cap(buf) == 0 {
			buf = make([]byte, m.chunkSize())
		}
		clear(buf)
		begin := c * m.chunkSize()
		for _, e := range parts {
			from, to := max(e.Offset, begin), min(e.Offset+e.Size, begin+m.chunkSize())
			if _, err := d.ReadAt(buf[from-begin:to-begin], e.At+from-e.Offset); err != nil {
				return err
			}
		}
		_, err := w.WriteAt(buf, place)
		place += m.chunkSize()
		return err
	})
}
