// SPDX-License-Identifier: Apache-2.0

package unpack

import "github.com/layerctl/layerctl/internal/layerstream"

// MaxWindow is the largest window that a zstd frame may ask for, in bytes; zstd
// --ultra and --long=27 take as much.
const MaxWindow = layerstream.MaxWindow

// Windows is a budget of memory for zstd windows of more than 8 MiB. Layers that
// share one take from it what their windows have above 8 MiB, and wait for one
// another where it does not suffice for all at once.
type Windows struct{ memory *layerstream.Windows }

// NewWindows makes a budget of so many bytes.
func NewWindows(bytes int64) *Windows { return &Windows{layerstream.NewWindows(bytes)} }

func (w *Windows) shared() *layerstream.Windows {
	if w == nil {
		return nil
	}
	return w.memory
}

// Buffers keeps the buffers of a layer, 2.5 MiB, for the next one: allocating them
// for each would slow down an image of many small layers. Several layers may use one
// at a time; it keeps no more than four of them need.
type Buffers struct{ memory *layerstream.Buffers }

// NewBuffers makes Buffers, which are empty.
func NewBuffers() *Buffers { return &Buffers{layerstream.NewBuffers()} }

func (b *Buffers) shared() *layerstream.Buffers {
	if b == nil {
		return nil
	}
	return b.memory
}
