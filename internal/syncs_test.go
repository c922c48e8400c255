// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
)

func TestSyncsClose(t *testing.T) {
	dir := disktest.OpenTemp(t)
	s := durable.NewSyncs(dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a sync afterwards: %v", err)
	}
}

// TestSyncs: all who ask while a sync runs share one that begins later.
func TestSyncs(t *testing.T) {
	dir := disktest.OpenTemp(t)
	failed := errors.New("a fault")
	for _, c := range []struct {
		name     string
		verdicts []error // of the syncs, in order
		first    error
		others   error
	}{
		{"all go well", []error{durable.ErrLeaveOut, durable.ErrLeaveOut}, nil, nil},
		{"the second fails", []error{durable.ErrLeaveOut, failed}, nil, failed},
		{"the first fails", []error{failed}, failed, failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				under := make(chan struct{})
				begun := 0
				ctx := durable.WithFault(t.Context(), func(string) error {
					begun++
					<-under
					return c.verdicts[begun-1]
				})
				s := durable.NewSyncs(dir)
				first, ended := make(chan error, 1), make(chan error, 3)
				go func() { first <- s.Sync(ctx) }()
				synctest.Wait()
				for range 3 {
					go func() { ended <- s.Sync(ctx) }()
				}
				gone, cancel := context.WithCancel(ctx)
				left := make(chan error, 1)
				go func() { left <- s.Sync(gone) }()
				synctest.Wait()
				cancel()
				if err := <-left; !errors.Is(err, context.Canceled) {
					t.Errorf("one that is told to end: %v", err)
				}
				close(under)
				if err := <-first; !errors.Is(err, c.first) {
					t.Errorf("the first: %v", err)
				}
				for range 3 {
					if err := <-ended; !errors.Is(err, c.others) {
						t.Errorf("another: %v", err)
					}
				}
				if begun != len(c.verdicts) {
					t.Errorf("%d syncs", begun)
				}
				if c.others == nil {
					return
				}
				if err := s.Sync(t.Context()); !errors.Is(err, failed) {
					t.Errorf("after one that has failed: %v", err)
				}
			})
		})
	}
}
