// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// shortages are what the machine or the process lacked for a moment.
var shortages = []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EINTR, unix.EAGAIN}

// IsShortage is true for an error that says nothing of the file: descriptors or
// memory ran out, or a signal came between.
func IsShortage(err error) bool {
	return slices.ContainsFunc(shortages, func(s error) bool { return errors.Is(err, s) })
}
