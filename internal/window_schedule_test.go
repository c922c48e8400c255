// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/layerctl/layerctl/internal/window"
)

// TestSchedule plays days by a clock that is nobody's: it begins at midnight of
// 2000-01-01 UTC.
func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		name, window         string
		after, splay, repeat time.Duration
		want                 []string // when runs begin, and when they are to end
	}{
		{"now", "", 0, 0, 0, []string{"1 00:00 to the end"}},
		{"later", "", 0, 17 * time.Minute, 0, []string{"1 00:17 to the end"}},
		{"in the window", "02:00-05:00", 3 * time.Hour, 0, 0, []string{"1 03:00 to 05:00"}},
		{"outside of it", "02:00-05:00", time.Hour, 0, 0, nil},
		{"at its own place in it", "02:00-05:00", 2 * time.Hour, 17 * time.Minute, 0, []string{"1 02:17 to 05:00"}},
		{"after its place in it", "02:00-05:00", 3 * time.Hour, 17 * time.Minute, 0, []string{"1 03:00 to 05:00"}},
		{"every six hours", "", 0, 0, 6 * time.Hour, []string{"1 00:00 to the end", "1 06:00 to the end", "1 12:00 to the end"}},
		{"every night", "02:00-05:00", 0, 17 * time.Minute, 24 * time.Hour, []string{"1 02:17 to 05:00", "2 02:17 to 05:00", "3 02:17 to 05:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := window.Schedule{Splay: c.splay, Repeat: c.repeat}
				if c.window != "" {
					var err error
					if s.Window, err = window.Parse(c.window); err != nil {
						t.Fatal(err)
					}
				}
				now := time.Now()
				year, month, day := now.Date()
				midnight := time.Date(year, month, day+1, 0, 0, 0, 0, now.Location())
				time.Sleep(midnight.Add(c.after).Sub(now))
				ctx, stop := context.WithCancelCause(t.Context())
				ended := errors.New("told to end")
				var got []string
				failed := 0
				err := s.Run(ctx, func(_ context.Context, until time.Time) error {
					end := "the end"
					if !until.IsZero() {
						end = until.Format("15:04")
					}
					days := int(time.Since(midnight)/(24*time.Hour)) + 1
					got = append(got, string(rune('0'+days))+time.Now().Format(" 15:04")+" to "+end)
					time.Sleep(time.Minute)
					if len(got) == max(len(c.want), 1) && s.Repeat > 0 {
						stop(ended)
					}
					return errors.New("a run that failed")
				}, func(error) { failed++ })
				if !slices.Equal(got, c.want) {
					t.Errorf("runs at %q, want %q", got, c.want)
				}
				if (err == nil) != (c.want == nil) || c.repeat > 0 && failed != len(c.want)-1 {
					t.Errorf("error %v, told of %d", err, failed)
				}
			})
		})
	}
}
