// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimit lets four readers share a limit for ten seconds, on a clock that
// does not depend on the machine.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 1 << 20
		l := NewLimiter(rate)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var mu sync.Mutex
		var total int
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					n := l.slice(1 << 20)
					if l.take(ctx, n) != nil {
						return
					}
					mu.Lock()
					total += n
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if low, high := 10*rate*95/100, 10*rate*105/100; total < low || total > high {
			t.Errorf("got %d bytes in ten seconds, want %d to %d", total, low, high)
		}
	})
}

func TestLimitDoesNotSaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1000)
		if err := l.take(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		start := time.Now()
		for range 10 {
			if err := l.take(t.Context(), 100); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("1000 bytes after a pause took %v, want a second", d)
		}
	})
}

func TestNoLimit(t *testing.T) {
	l := NewLimiter(0)
	if n := l.slice(1 << 20); n != 1<<20 {
		t.Errorf("got slices of %d", n)
	}
	if err := l.take(t.Context(), 1<<30); err != nil {
		t.Error(err)
	}
}
