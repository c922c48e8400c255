// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"io"

	"github.com/layerctl/layerctl/internal/inflate"
)

// Buffers is memory that layers use one after the other: making it anew for
// each, 2.5 MiB, is what an image of many small layers would wait for. It
// may serve several layers at once, and keeps no more than four of them need.
type Buffers struct {
	pieces  spare[*inflate.Buffer]
	parts   spare[[]byte]
	readers spare[*inflate.Reader]
}

// NewBuffers makes Buffers, which hold nothing yet.
func NewBuffers() *Buffers {
	const layers = 4
	return &Buffers{
		pieces:  make(spare[*inflate.Buffer], layers*pieceCount),
		parts:   make(spare[[]byte], layers*partCount),
		readers: make(spare[*inflate.Reader], layers),
	}
}

func (b *Buffers) piece() *inflate.Buffer {
	return b.pieces.take(func() *inflate.Buffer { return inflate.NewBuffer(pieceSize) })
}

func (b *Buffers) part() []byte {
	return b.parts.take(func() []byte { return make([]byte, partSize) })
}

func (b *Buffers) reader(r io.Reader) *inflate.Reader {
	z := b.readers.take(func() *inflate.Reader { return inflate.NewReader(nil) })
	z.Reset(r)
	return z
}

func (b *Buffers) keepReader(z *inflate.Reader) {
	z.Reset(nil) // lets go of its source
	b.readers.keep(z)
}

// spare is what waits for its next use. A nil one keeps nothing.
type spare[T any] chan T

func (s spare[T]) take(or func() T) T {
	select {
	case v := <-s:
		return v
	default:
		return or()
	}
}

func (s spare[T]) keep(v T) {
	select {
	case s <- v:
	default: // for the garbage collector
	}
}
