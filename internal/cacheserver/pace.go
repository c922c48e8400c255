// SPDX-License-Identifier: Apache-2.0

package cacheserver

import (
	"context"
	"sync"
	"time"
)

// pace lets so many bytes a second by, whoever sends them.
type pace struct {
	rate int64

	mu   sync.Mutex
	next time.Time // when the next byte may go
}

// wait waits until n more bytes may go, or the context ends.
func (p *pace) wait(ctx context.Context, n int) {
	if p.rate <= 0 {
		return
	}
	timer := time.NewTimer(p.due(time.Now(), n))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// due takes the place of n bytes in the row, and says how far off it is.
func (p *pace) due(now time.Time, n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return at.Sub(now)
}
