// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"context"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"
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
// for one another where it does not suffice for all at once.
type Windows struct {
	size int64
	free *semaphore.Weighted
}

// NewWindows makes so many bytes of it.
func NewWindows(bytes int64) *Windows {
	return &Windows{size: max(bytes, 0), free: semaphore.NewWeighted(max(bytes, 0))}
}

// most is the largest window that there can be.
func (w *Windows) most() int64 {
	if w == nil {
		return MaxWindow
	}
	return min(smallWindow+w.size, MaxWindow)
}

// take waits for the memory of a window. release gives it back.
func (w *Windows) take(ctx context.Context, window int64) (release func(), err error) {
	if window > w.most() {
		return nil, &LimitError{Limit: "window", Max: w.most(), Asked: window}
	}
	if w == nil || window <= smallWindow {
		return func() {}, nil
	}
	more := window - smallWindow
	if err := w.free.Acquire(ctx, more); err != nil {
		return nil, err
	}
	return func() { w.free.Release(more) }, nil
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
