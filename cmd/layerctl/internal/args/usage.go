// SPDX-License-Identifier: Apache-2.0

package args

import "github.com/layerctl/layerctl/errkind"

// UsageError says what is wrong with a command line. It is an [errkind.Usage].
type UsageError struct {
	Problem string
	Advice  string // what to write instead, or ""
}

func (e *UsageError) Error() string { return e.Problem }

// Hint says what to write instead.
func (e *UsageError) Hint() string { return e.Advice }

// Unwrap returns [errkind.Usage].
func (e *UsageError) Unwrap() error { return errkind.Usage }
