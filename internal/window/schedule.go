// SPDX-License-Identifier: Apache-2.0

package window

import (
	"context"
	"time"
)

// Schedule is when runs are due. The zero Schedule is one run, now.
type Schedule struct {
	// Window is where runs begin and are to end.
	Window Window
	// Splay is how much later than others this machine begins.
	Splay time.Duration
	// Repeat is the time from one run to the next where Window is all day; else
	// there is one in each window. 0 is one run.
	Repeat time.Duration
	// Say hears what is waited for; nil is nobody.
	Say func(format string, a ...any)
}

func (s Schedule) say(format string, a ...any) {
	if s.Say != nil {
		s.Say(format, a...)
	}
}

// Run does what is due, once or again and again: then failed hears of what went
// wrong, and only the end of ctx ends it.
func (s Schedule) Run(ctx context.Context, once func(ctx context.Context, until time.Time) error, failed func(error)) error {
	for {
		now := time.Now()
		begin, end, open := s.Window.Open(now)
		if !open {
			next := s.Window.Next(now)
			if s.Repeat == 0 {
				s.say("outside the window, which begins at %s", next.Format(time.RFC3339))
				return nil
			}
			if err := s.wait(ctx, next); err != nil {
				return err
			}
			continue
		}
		if err := s.wait(ctx, begin.Add(s.Splay)); err != nil {
			return err
		}
		err := once(ctx, end)
		if s.Repeat == 0 || ctx.Err() != nil {
			return err
		}
		if err != nil {
			failed(err)
		}
		next := now.Add(s.Repeat)
		if s.Window.set {
			next = s.Window.Next(time.Now())
		}
		// Whoever waits is not late by its own splay.
		if err := s.wait(ctx, next); err != nil {
			return err
		}
	}
}

// wait ends at a time, or with an error when ctx does.
func (s Schedule) wait(ctx context.Context, at time.Time) error {
	left := time.Until(at)
	if left <= 0 {
		return context.Cause(ctx)
	}
	s.say("waiting until %s", at.Format(time.RFC3339))
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
