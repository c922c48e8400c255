// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/errkind"
)

// The exit codes. They are a promise to scripts and never change.
const (
	exitOK         = 0
	exitFailure    = int(errkind.Failure)
	exitUsage      = int(errkind.Usage)
	exitNotFound   = int(errkind.NotFound)
	exitDenied     = int(errkind.Denied)
	exitNetwork    = int(errkind.Network)
	exitMismatch   = int(errkind.Mismatch)
	exitMalformed  = int(errkind.Malformed)
	exitFilesystem = int(errkind.Filesystem)
	exitBusy       = int(errkind.Busy)
	exitSignal     = 128 // plus the signal's number
)

// usageError is a command line that makes no sense.
type usageError = args.UsageError

// exitCode is the code that the process ends with: the number of the error's
// kind, or what a signal asks for.
func exitCode(err error) int {
	var caught *signalError
	if errors.As(err, &caught) {
		return exitSignal + int(caught.signal)
	}
	return int(errkind.Of(err))
}

// fail prints an error with its hint.
func fail(to *terminal.Console, err error, verbose bool) {
	failUnlike("", to, err, verbose)
}

// failUnlike is fail without a hint that was given already. It returns its own.
func failUnlike(given string, to *terminal.Console, err error, verbose bool) string {
	text := failure.Line(err, verbose)
	var several *severalError
	if errors.As(err, &several) {
		text = err.Error() // it is about no single one
	}
	hint := failure.Hint(err)
	if hint == given {
		to.Fail(text, "")
	} else {
		to.Fail(text, hint)
	}
	return hint
}

// severalError ends a command that does the same with several things.
type severalError struct {
	failed, of int
	what       string // was not done
	first      error
	hint       string // of the last one
}

// add tells of one failure at once; the others are still to be done.
func (e *severalError) add(c *cli.Context, err error) {
	e.hint = failUnlike(e.hint, terminal.NewConsole(c.App.ErrWriter), err, c.Bool("verbose"))
	if e.failed++; e.first == nil {
		e.first = err
	}
}

// err is nil where nothing failed.
func (e *severalError) err() error {
	if e.first == nil {
		return nil
	}
	return e
}

func (e *severalError) Error() string {
	return fmt.Sprintf("%d of %d %s, see above", e.failed, e.of, e.what)
}

// Unwrap is what gives the exit code.
func (e *severalError) Unwrap() error { return e.first }

// Hint is none: each failure has had its own.
func (e *severalError) Hint() string { return "" }
