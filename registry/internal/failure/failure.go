// SPDX-License-Identifier: Apache-2.0

// Package failure has the sentinels that the errors of package registry match, and
// functions that make an error match one.
package failure

import (
	"context"
	"errors"
	"fmt"

	"github.com/layerctl/layerctl/errkind"
)

// The sentinels. Package registry documents them.
var (
	NotFound  = errkind.New(errkind.NotFound, "not found")
	Denied    = errkind.New(errkind.Denied, "access denied")
	Network   = errkind.New(errkind.Network, "network failure")
	Mismatch  = errkind.New(errkind.Mismatch, "content does not match its descriptor")
	Malformed = errkind.New(errkind.Malformed, "malformed image")
)

// marked is err, which matches the sentinel too. Its text is that of err alone.
type marked struct {
	sentinel error
	err      error
}

func (m *marked) Error() string   { return m.err.Error() }
func (m *marked) Unwrap() []error { return []error{m.sentinel, m.err} }

// Mark makes err match the sentinel too. Its text stays as it is.
func Mark(sentinel, err error) error { return &marked{sentinel, err} }

// New makes an error of the formatted text that matches the sentinel.
func New(sentinel error, format string, args ...any) error {
	return &marked{sentinel, fmt.Errorf(format, args...)}
}

// Unanswered makes err match [Network]. If ctx is done it returns the context's error
// instead.
func Unanswered(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return Mark(Network, err)
}

// final is an error after which the same host need not be asked again.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

// Final marks err: the same host need not be asked again.
func Final(err error) error { return final{err} }

// IsFinal reports whether err was marked by [Final].
func IsFinal(err error) bool {
	var f final
	return errors.As(err, &f)
}
