// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

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
	text := failure.Line(err, verbose)
	var several *severalError
	if errors.As(err, &several) {
		text = err.Error() // it is about no single one
	}
	to.Fail(text, failure.Hint(err))
}
