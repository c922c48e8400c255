// SPDX-License-Identifier: Apache-2.0

package layerstream

import "sync"

// Paths is memory for what is kept of the paths of layers, in one budget with
// Windows: a window is lent only what paths have left, and while windows are out
// paths get only what those have left, but for 4 MiB that paths always have.
type Paths struct {
	size   int64
	beside *Windows

	mu    sync.Mutex
	taken int64 // guarded by mu
}

// alwaysPaths is what windows cannot take: an honest image with a few thousand
// such paths does not depend on how large the windows are that are out.
const alwaysPaths = 4 << 20

// NewPaths makes so many bytes of it; a nil beside is none.
func NewPaths(bytes int64, beside *Windows) *Paths { return &Paths{size: bytes, beside: beside} }

// Size is how much there is in all.
func (p *Paths) Size() int64 { return p.size }

// Take takes n bytes, or gives them back where n is negative. It is false where
// there is not enough left; a nil Paths has no end.
func (p *Paths) Take(n int64) bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	change := counted(p.taken+n) - counted(p.taken)
	if n > 0 && (p.taken+n > p.size || !p.beside.Keep(change)) {
		return false
	}
	if n < 0 {
		p.beside.Keep(change)
	}
	p.taken += n
	return true
}

// counted is how much of what was taken windows do without.
func counted(taken int64) int64 { return max(taken-alwaysPaths, 0) }

// Release gives back all.
func (p *Paths) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beside.Keep(-counted(p.taken))
	p.taken = 0
}
