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

// usageError says what is wrong with a command line.
type usageError = args.UsageError

// exitCode returns the exit code for an error: the number of its kind, or 128 and the
// number of the signal that ended the command.
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

// failUnlike is fail, but does not print the hint given again. It returns the error's
// hint.
func failUnlike(given string, to *terminal.Console, err error, verbose bool) string {
	text := failure.Line(err, verbose)
	var several *severalError
	if errors.As(err, &several) {
		text = err.Error() // not the text of the first failure
	}
	hint := failure.Hint(err)
	if hint == given {
		to.Fail(text, "")
	} else {
		to.Fail(text, hint)
	}
	return hint
}

// severalError is the error of a command that does the same with several things, some
// of which failed.
type severalError struct {
	failed, of int
	what       string // what was not done, as "images were not pulled"
	first      error  // the first failure
	hint       string // of the last failure
}

// add prints one failure at once, because others may take long.
func (e *severalError) add(c *cli.Context, err error) {
	e.hint = failUnlike(e.hint, terminal.NewConsole(c.App.ErrWriter), err, c.Bool("verbose"))
	if e.failed++; e.first == nil {
		e.first = err
	}
}

// err returns e, or nil if nothing failed.
func (e *severalError) err() error {
	if e.first == nil {
		return nil
	}
	return e
}

func (e *severalError) Error() string {
	return fmt.Sprintf("%d of %d %s, see above", e.failed, e.of, e.what)
}

// Unwrap returns the first failure, which decides the exit code.
func (e *severalError) Unwrap() error { return e.first }

// Hint returns "": the hint of each failure was printed with it.
func (e *severalError) Hint() string { return "" }
