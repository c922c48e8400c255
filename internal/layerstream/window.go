// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"context"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// smallWindow is the memory that every zstd frame may ask for: RFC 8878,
	// 3.1.1.1.2, wants 8 MiB of all decoders.
	smallWindow = 8 << 20
	// MaxWindow is what a frame may ask for at most, in bytes; zstd --ultra and
	// --long=27 take as much.
	MaxWindow = 128 << 20
)

// Windows is memory for zstd frames that need a window of more than 8 MiB. The
// layers that share it take from it what their window has above that, and wait
// for one another where it does not suffice for all at once. What is kept of the
// layers meanwhile, by [Windows.Keep], is not there for windows.
type Windows struct {
	size int64

	mu    sync.Mutex
	lent  int64         // guarded by mu: to windows, which give it back soon
	kept  int64         // guarded by mu: given back when the image is complete
	moved chan struct{} // guarded by mu: closed when one of the two changes; nil where nobody waits
}

// NewWindows makes so many bytes of it.
func NewWindows(bytes int64) *Windows { return &Windows{size: max(bytes, 0)} }

// Keep takes n bytes for what stays until an image is complete. It is false
// where windows have so much of the memory that both do not fit; while none is
// lent the caller's own bound is all that holds it. A negative n gives back.
func (w *Windows) Keep(n int64) bool {
	if w == nil || n == 0 {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 && w.lent > 0 && w.kept+w.lent+n > w.size {
		return false
	}
	w.kept += n
	w.move()
	return true
}

// move wakes who waits. It is called with mu held.
func (w *Windows) move() {
	if w.moved != nil {
		close(w.moved)
		w.moved = nil
	}
}

// most is the largest window that there can be.
func (w *Windows) most() int64 {
	if w == nil {
		return MaxWindow
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mostLocked()
}

func (w *Windows) mostLocked() int64 { return min(smallWindow+max(w.size-w.kept, 0), MaxWindow) }

// take waits for the memory of a window. release gives it back.
func (w *Windows) take(ctx context.Context, window int64) (release func(), err error) {
	if w == nil && window <= MaxWindow || window <= smallWindow {
		return func() {}, nil
	}
	more := window - smallWindow
	for {
		taken, wait, err := w.try(window)
		switch {
		case err != nil:
			return nil, err
		case taken:
			return func() { w.release(more) }, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// try takes the memory of a window that is above 8 MiB, or gives a channel that
// is closed when it is worth to try again.
func (w *Windows) try(window int64) (taken bool, wait <-chan struct{}, err error) {
	if w == nil {
		return false, nil, &LimitError{Limit: "window", Max: MaxWindow, Asked: window}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// What is kept is not given back before this layer is done: no use to wait.
	if most := w.mostLocked(); window > most {
		return false, nil, &LimitError{Limit: "window", Max: most, Asked: window}
	}
	if more := window - smallWindow; w.kept+w.lent+more <= w.size {
		w.lent += more
		return true, nil, nil
	}
	if w.moved == nil {
		w.moved = make(chan struct{})
	}
	return false, w.moved, nil
}

func (w *Windows) release(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lent -= n
	w.move()
}

// windowOf is what the first frame in b asks for. It is not known where b does
// not reach as far as that.
func windowOf(b []byte) (window int64, known bool) {
	for {
		var h zstd.Header
		rest, err := h.DecodeAndStrip(b)
		switch {
		case err != nil:
			return 0, false
		case h.Skippable && uint64(h.SkippableSize) > uint64(len(rest)):
			return 0, false
		case h.Skippable:
			b = rest[h.SkippableSize:]
		case h.SingleSegment:
			return int64(min(h.FrameContentSize, 1<<62)), true
		default:
			return int64(h.WindowSize), true
		}
	}
}
