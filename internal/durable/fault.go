// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"errors"
	"fmt"
	stdsync "sync"
	"sync/atomic"
)

// ErrLeaveOut is returned by a hook to have a sync left out, and yet report success.
// With it a test shows that a power cut after a missing sync is noticed.
var ErrLeaveOut = errors.New("leave the sync out")

type faultKey struct{}

// WithFault returns a context in which every durable step first calls hook
// with the step's name, such as "fsync dir". When hook returns an error the
// step does not act and fails with it. For tests.
func WithFault(ctx context.Context, hook func(op string) error) context.Context {
	return context.WithValue(ctx, faultKey{}, hook)
}

// WithFaultAt returns a context in which the n-th durable step from now, counted from
// 0, calls do and fails with its error. op is the name of that step, or "" before it
// is reached. For tests.
func WithFaultAt(ctx context.Context, n int, do func() error) (_ context.Context, op *string) {
	op = new(string)
	i := 0
	var mu stdsync.Mutex // steps of other goroutines wait until do has acted
	return WithFault(ctx, func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		if i++; i-1 != n {
			return nil
		}
		*op = step
		return do()
	}), op
}

// WithSteps returns a context that counts the durable steps from now on. A hook that
// ctx has already is called too. For tests.
func WithSteps(ctx context.Context) (_ context.Context, steps *atomic.Int64) {
	steps = new(atomic.Int64)
	return WithFault(ctx, func(op string) error {
		steps.Add(1)
		if hook, ok := ctx.Value(faultKey{}).(func(string) error); ok {
			return hook(op)
		}
		return nil
	}), steps
}

// Fault is the fault point op: it returns the error of the hook of [WithFault],
// wrapped with op, or nil if there is no hook. Code with a durable step of its own
// calls it before the step.
func Fault(ctx context.Context, op string) error {
	hook, ok := ctx.Value(faultKey{}).(func(string) error)
	if !ok {
		return nil
	}
	if err := hook(op); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// sync is the fault point op around a sync.
func sync(ctx context.Context, op string, do func() error) error {
	err := Fault(ctx, op)
	if errors.Is(err, ErrLeaveOut) {
		return nil
	}
	if err != nil {
		return err
	}
	return do()
}
