// SPDX-License-Identifier: Apache-2.0

package unpack

import "sync/atomic"

// Paths is memory for what layers keep of their paths: directories without an
// entry, those that hold whiteouts, hard links into lower layers. The layers of
// an image share it, for what their [Result] lists is kept until the last of
// them is complete. [Limits].Recorded bounds each layer by itself.
type Paths struct {
	size int64
	left atomic.Int64
}

// NewPaths makes so many bytes of it.
func NewPaths(bytes int64) *Paths {
	p := &Paths{size: bytes}
	p.left.Store(bytes)
	return p
}

// perPath is how many times what a layer accounts for is taken in the end, by
// sorting, recording and laying over each other what it lists. Measured by pulls
// of 240,000 directories without an entry.
const perPath = 3

// take is false where there is not enough left. A nil Paths has no end.
func (p *Paths) take(n int64) bool {
	if p == nil {
		return true
	}
	if p.left.Add(-n*perPath) >= 0 {
		return true
	}
	p.give(n)
	return false
}

func (p *Paths) give(n int64) {
	if p != nil {
		p.left.Add(n * perPath)
	}
}
