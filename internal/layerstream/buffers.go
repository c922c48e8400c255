// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"io"

	"github.com/layerctl/layerctl/internal/inflate"
	"github.com/layerctl/layerctl/internal/spare"
)

// Buffers is memory that streams use one after the other: making it anew for
// each, 2.5 MiB, is what an image of many small layers would wait for. It may
// serve several streams at once, and keeps no more than four of them need. The
// zero value keeps nothing.
type Buffers struct {
	pieces  spare.List[*inflate.Buffer]
	parts   spare.List[[]byte]
	readers spare.List[*inflate.Reader]
}

// NewBuffers makes Buffers, which hold nothing yet.
func NewBuffers() *Buffers {
	const streams = 4
	return &Buffers{
		pieces:  make(spare.List[*inflate.Buffer], streams*pieceCount),
		parts:   make(spare.List[[]byte], streams*partCount),
		readers: make(spare.List[*inflate.Reader], streams),
	}
}

func (b *Buffers) buffer() *inflate.Buffer {
	if buf, ok := b.pieces.Take(); ok {
		return buf
	}
	return inflate.NewBuffer(pieceSize)
}

func (b *Buffers) part() []byte {
	if part, ok := b.parts.Take(); ok {
		return part
	}
	return make([]byte, partSize)
}

func (b *Buffers) reader(r io.Reader) *inflate.Reader {
	if z, ok := b.readers.Take(); ok {
		z.Reset(r)
		return z
	}
	return inflate.NewReader(r)
}

func (b *Buffers) keepReader(z *inflate.Reader) {
	z.Reset(nil) // lets go of its source
	b.readers.Keep(z)
}
