// SPDX-License-Identifier: Apache-2.0

package unpack

import "github.com/layerctl/layerctl/internal/layerstream"

// Paths is memory for what layers keep of their paths: directories without an
// entry, those that hold whiteouts, hard links into lower layers. The layers of
// an image share it, for what their [Result] lists is kept until the last of
// them is complete. [Limits].Recorded bounds each layer by itself.
//
// With [Windows] it is one budget: a window is lent only what paths have left,
// and while windows are out paths get only what those have left, but for
// 4 MiB that paths always have.
type Paths struct{ memory *layerstream.Paths }

// NewPaths makes so many bytes of it, which are in one budget with beside; nil
// is none. 0 means 512 MiB, and a negative number no limit.
func NewPaths(bytes int64, beside *Windows) *Paths {
	switch {
	case bytes < 0:
		return nil
	case bytes == 0:
		bytes = 512 << 20
	}
	return &Paths{layerstream.NewPaths(bytes, beside.shared())}
}

// perPath is how many times what a layer accounts for is taken in the end, by
// sorting, recording and laying over each other what it lists. Measured by pulls
// of 240,000 directories without an entry.
const perPath = 3

// take is false where there is not enough left. A nil Paths has no end.
func (p *Paths) take(n int64) bool { return p.Take(n * perPath) }

func (p *Paths) give(n int64) { p.Give(n * perPath) }

// Take takes n bytes for something that is kept like paths are. It is false
// where there is not enough left; a nil Paths has no end.
func (p *Paths) Take(n int64) bool { return p == nil || p.memory.Take(n) }

// Give gives back what Take took.
func (p *Paths) Give(n int64) { p.Take(-n) }

// Release gives back all, when the image is complete or will not be.
func (p *Paths) Release() {
	if p != nil {
		p.memory.Release()
	}
}
