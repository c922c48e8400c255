// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// shortages are errors that come from a lack of descriptors or memory, or from a
// signal.
var shortages = []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EINTR, unix.EAGAIN}

// IsShortage reports whether an error says nothing about the file: descriptors or
// memory ran out, or a signal interrupted the call.
func IsShortage(err error) bool {
	return slices.ContainsFunc(shortages, func(s error) bool { return errors.Is(err, s) })
}
