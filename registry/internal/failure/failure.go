// SPDX-License-Identifier: Apache-2.0

// Package failure has the errors that all parts of package registry return,
// and what marks an error as one of them.
package failure

import (
	"context"
	"errors"
	"fmt"

	"github.com/layerctl/layerctl/errkind"
)

// What callers branch on. Package registry documents them.
var (
	NotFound  = errkind.New(errkind.NotFound, "not found")
	Denied    = errkind.New(errkind.Denied, "access denied")
	Network   = errkind.New(errkind.Network, "network failure")
	Mismatch  = errkind.New(errkind.Mismatch, "content does not match its descriptor")
	Malformed = errkind.New(errkind.Malformed, "malformed image")
)

// marked is err under one of the sentinels, whose own text is left out: err
// says it better.
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

// Unanswered marks err as a failure of the network, unless it was the caller
// who gave up.
func Unanswered(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return Mark(Network, err)
}

// final is not worth another try with the same host.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

// Final says that err is not worth another try with the same host.
func Final(err error) error { return final{err} }

// IsFinal says whether err was marked by [Final].
func IsFinal(err error) bool {
	var f final
	return errors.As(err, &f)
}
