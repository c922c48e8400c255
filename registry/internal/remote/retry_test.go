// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/layerctl/layerctl/registry/internal/transport"
)

// TestPatience checks how long it is waited, in a bubble where that costs no
// time.
func TestPatience(t *testing.T) {
	down := &transport.StatusError{Status: 503}
	asks := &transport.StatusError{Status: 429, RetryAfter: 40 * time.Second}
	tests := []struct {
		name     string
		errs     []error // of one round each
		stranger bool
		min, max time.Duration
		rounds   int
	}{
		{"a host that never answered", []error{errors.New("refused")}, true, 300 * time.Millisecond, time.Second, 3},
		{"a host that did", []error{down}, false, 60 * time.Second, 150 * time.Second, 11},
		{"the server says when", []error{asks, down}, false, 100 * time.Second, 200 * time.Second, 11},
		{"the server says never", []error{&transport.StatusError{Status: 429, RetryAfter: time.Hour}}, false, 0, 0, 1},
		{"no use in asking again", []error{&transport.StatusError{Status: 404}}, false, 0, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []Retry
				o := Options{Retries: 10, Backoff: 250 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), OnRetry: func(r Retry) { told = append(told, r) }}
				rt := &route{peer: &peer{host: "h", answered: !tt.stranger}}
				a := newAttempts(&o, []*route{rt})
				start, rounds := time.Now(), 0
				for {
					got, err := a.next(t.Context())
					if err != nil {
						break
					}
					rounds++
					a.failed(got, tt.errs[min(rounds, len(tt.errs))-1])
				}
				if d := time.Since(start); d < tt.min || d > tt.max {
					t.Errorf("waited %v, want %v to %v", d, tt.min, tt.max)
				}
				if rounds != tt.rounds {
					t.Errorf("got %d rounds, want %d", rounds, tt.rounds)
				}
				var waits time.Duration
				for i, r := range told {
					waits += r.Wait
					if r.Host != "h" || r.Err == nil || i > 0 && (r.Round != told[i-1].Round+1 || r.Rounds != told[0].Rounds) {
						t.Errorf("told %d times, the last of %+v", i, r)
					}
				}
				if waits != time.Since(start) {
					t.Errorf("told of %v, waited %v", waits, time.Since(start))
				}
				if len(told) == 0 {
					return
				}
				a.progressed(1, 0)
				a.progressed(1, 0)
				if last := told[len(told)-1]; last != (Retry{Host: "h"}) || told[len(told)-2].Err == nil {
					t.Errorf("the end is told as %+v", last)
				}
			})
		})
	}
}
