// SPDX-License-Identifier: Apache-2.0

package failure

// about is an error about a reference, as the user wrote it.
type about struct {
	Reference string
	err       error
}

// Concerns says of an error which reference it is about.
func Concerns(reference string, err error) error {
	if err == nil {
		return nil
	}
	return &about{reference, err}
}

func (e *about) Error() string { return e.err.Error() }

// Unwrap is the error.
func (e *about) Unwrap() error { return e.err }
