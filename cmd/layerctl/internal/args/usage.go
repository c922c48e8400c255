// SPDX-License-Identifier: Apache-2.0

package args

import "github.com/layerctl/layerctl/errkind"

// UsageError is a command line that makes no sense.
type UsageError struct {
	Problem string
	Advice  string // what to write instead, or ""
}

func (e *UsageError) Error() string { return e.Problem }

// Hint says what to write instead.
func (e *UsageError) Hint() string { return e.Advice }

// Unwrap makes it a wrong usage.
func (e *UsageError) Unwrap() error { return errkind.Usage }
