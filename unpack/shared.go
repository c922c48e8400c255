// SPDX-License-Identifier: Apache-2.0

package unpack

import "github.com/layerctl/layerctl/internal/layerstream"

// MaxWindow is the largest window that a zstd frame may ask for, in bytes; zstd
// --ultra and --long=27 take as much.
const MaxWindow = layerstream.MaxWindow

// Windows is memory for zstd frames that need a window of more than 8 MiB. The
// layers that share it take from it what their window has above that, and wait
// for one another where it does not suffice for all at once.
type Windows struct{ memory *layerstream.Windows }

// NewWindows makes so many bytes of it.
func NewWindows(bytes int64) *Windows { return &Windows{layerstream.NewWindows(bytes)} }

func (w *Windows) shared() *layerstream.Windows {
	if w == nil {
		return nil
	}
	return w.memory
}

// Buffers is memory that layers use one after the other: making it anew for
// each, 2.5 MiB, is what an image of many small layers would wait for. It may
// serve several layers at once, and keeps no more than four of them need.
type Buffers struct{ memory *layerstream.Buffers }

// NewBuffers makes Buffers, which hold nothing yet.
func NewBuffers() *Buffers { return &Buffers{layerstream.NewBuffers()} }

func (b *Buffers) shared() *layerstream.Buffers {
	if b == nil {
		return nil
	}
	return b.memory
}
