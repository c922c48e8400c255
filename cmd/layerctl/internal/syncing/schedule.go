// SPDX-License-Identifier: Apache-2.0

package syncing

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/window"
)

// schedule is when runs are due.
type schedule struct {
	window window.Window
	splay  time.Duration // of this machine
	repeat time.Duration // 0 is one run
	bounds bool          // there is a window
	say    func(format string, a ...any)
}

func newSchedule(c *cli.Context) (schedule, error) {
	s := schedule{repeat: setup.Span(c, "repeat"), say: func(string, ...any) {}}
	most := setup.Span(c, "splay")
	if most < 0 || s.repeat < 0 {
		return s, &args.UsageError{Problem: "--splay and --repeat are times to wait"}
	}
	if !c.Bool("quiet") {
		s.say = terminal.NewConsole(c.App.ErrWriter).Say
	}
	if text := c.String("window"); text != "" {
		w, err := window.Parse(text)
		if err != nil {
			return s, &args.UsageError{Problem: "--window " + err.Error()}
		}
		s.window, s.bounds = w, true
	}
	if most > 0 {
		id, err := window.MachineID()
		if err != nil {
			return s, fmt.Errorf("tell this machine from others: %w", err)
		}
		s.splay = window.Splay(id, most)
	}
	return s, nil
}

// run does what is due, once or again and again: then failed hears of what went
// wrong, and only the end of ctx ends it.
func (s schedule) run(ctx context.Context, once func(ctx context.Context, until time.Time) error, failed func(error)) error {
	for {
		now := time.Now()
		begin, end, open := s.window.Open(now)
		if !open {
			next := s.window.Next(now)
			if s.repeat == 0 {
				s.say("outside the window, which begins at %s", next.Format(time.RFC3339))
				return nil
			}
			if err := s.wait(ctx, next); err != nil {
				return err
			}
			continue
		}
		if err := s.wait(ctx, begin.Add(s.splay)); err != nil {
			return err
		}
		err := once(ctx, end)
		if s.repeat == 0 || ctx.Err() != nil {
			return err
		}
		if err != nil {
			failed(err)
		}
		next := now.Add(s.repeat)
		if s.bounds {
			next = s.window.Next(time.Now())
		}
		// Whoever waits is not late by its own splay.
		if err := s.wait(ctx, next); err != nil {
			return err
		}
	}
}

// wait ends at a time, or with an error when ctx does.
func (s schedule) wait(ctx context.Context, at time.Time) error {
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
