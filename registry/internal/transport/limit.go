// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"io"
	"sync"
	"time"
)

// Limiter spreads bytes over time, over all connections of a client. A nil
// Limiter does not limit.
type Limiter struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	next time.Time // when all that was taken so far is paid for
}

// NewLimiter limits to rate bytes a second; 0 is no limit.
func NewLimiter(rate int64) *Limiter {
	if rate <= 0 {
		return nil
	}
	return &Limiter{rate: rate}
}

// slice is how much may be read at once, so that one reader does not make the
// others wait for long: a twentieth of a second's worth.
func (l *Limiter) slice(n int) int {
	if l == nil {
		return n
	}
	return int(min(int64(n), max(l.rate/20, 512)))
}

// slack is how long a pause may be and still be made up for: timers that ring
// late, and what is done between reads, would otherwise cost several parts in
// a hundred.
const slack = 200 * time.Millisecond

// take waits until n bytes more are in order. What was not used in a longer
// pause is lost: it is a limit, not an average.
func (l *Limiter) take(ctx context.Context, n int) error {
	if l == nil || n == 0 {
		return nil
	}
	cost := time.Duration(float64(n) / float64(l.rate) * float64(time.Second))
	l.mu.Lock()
	now := time.Now()
	if now.Sub(l.next) > slack {
		l.next = now
	}
	l.next = l.next.Add(cost)
	wait := l.next.Sub(now)
	l.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// limited is a body that keeps to the limit. The wait is outside of whatever
// measures the peer's speed.
type limited struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // the body's
	l   *Limiter
}

// Read implements io.Reader.
func (r *limited) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p[:r.l.slice(len(p))])
	if terr := r.l.take(r.ctx, n); terr != nil {
		return n, terr
	}
	return n, err
}
