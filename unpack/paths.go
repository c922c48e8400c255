// SPDX-License-Identifier: Apache-2.0

package unpack

import "github.com/layerctl/layerctl/internal/layerstream"

// Paths is a budget of memory for the paths that layers keep: implied directories,
// directories with whiteouts, hard links into lower layers. The layers of an image
// share one, for what their [Result] lists is kept until the last of them is
// complete. [Limits].Recorded bounds each layer by itself.
//
// Paths can share a budget with [Windows]: then a window gets only what the paths
// have left, and paths get only what the windows in use have left, except for 4 MiB
// that paths always have.
type Paths struct{ memory *layerstream.Paths }

// NewPaths makes a budget of so many bytes, shared with beside unless that is nil. 0
// means 512 MiB, and a negative number no limit.
func NewPaths(bytes int64, beside *Windows) *Paths {
	switch {
	case bytes < 0:
		return nil
	case bytes == 0:
		bytes = 512 << 20
	}
	return &Paths{layerstream.NewPaths(bytes, beside.shared())}
}

// perPath is the memory that sorting, recording and merging the listed paths take, as
// a multiple of what a layer accounts for. It was measured by pulls of 240,000
// directories without an entry.
const perPath = 3

// take is Take with the factor perPath.
func (p *Paths) take(n int64) bool { return p.Take(n * perPath) }

func (p *Paths) give(n int64) { p.Give(n * perPath) }

// Take takes n bytes from the budget for something that is kept as long as the
// paths. It is false where too little is left; a nil Paths has no limit.
func (p *Paths) Take(n int64) bool { return p == nil || p.memory.Take(n) }

// Give gives n bytes back.
func (p *Paths) Give(n int64) { p.Take(-n) }

// Release gives everything back, once the image is complete or has failed.
func (p *Paths) Release() {
	if p != nil {
		p.memory.Release()
	}
}
