// SPDX-License-Identifier: Apache-2.0

package cacheserver

import (
	"context"
	"sync"
	"time"
)

// pace bounds the rate of all connections together.
type pace struct {
	rate int64 // bytes a second; 0 means no bound

	mu   sync.Mutex
	next time.Time // when the next byte may be sent
}

// wait waits until n more bytes may be sent, or ctx is done.
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

// due reserves the time of n bytes, and returns how far off that is.
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
