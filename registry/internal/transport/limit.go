// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"io"
	"sync"
	"time"
)

// Limiter bounds the rate of all connections of a client together. A nil Limiter does
// not limit.
type Limiter struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	next time.Time // until when the bytes so far take, at the rate
}

// NewLimiter returns a limiter of rate bytes a second; 0 means no limit.
func NewLimiter(rate int64) *Limiter {
	if rate <= 0 {
		return nil
	}
	return &Limiter{rate: rate}
}

// slice returns how many of n bytes may be read at once: those of a twentieth of a
// second, so that other readers need not wait for long.
func (l *Limiter) slice(n int) int {
	if l == nil {
		return n
	}
	return int(min(int64(n), max(l.rate/20, 512)))
}

// slack is how long a pause may be whose bytes may still be used later. Without it late
// timers, and the work between reads, would lower the rate by several per cent.
const slack = 200 * time.Millisecond

// take waits until n more bytes are within the rate. The bytes of a pause longer than
// slack are lost: the rate is a limit, not an average.
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

// limited is a body that is read no faster than the limit. It wraps the body that
// measures the peer's rate, so that its waits do not count there.
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
