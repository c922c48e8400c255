// SPDX-License-Identifier: Apache-2.0

package failure

// about is an error about a reference, as the user wrote it.
type about struct {
	Reference string
	err       error
}

// Concerns adds to an error which reference it is about, as the user wrote it. The text
// of the error stays; [Line] uses the reference.
func Concerns(reference string, err error) error {
	if err == nil {
		return nil
	}
	return &about{reference, err}
}

func (e *about) Error() string { return e.err.Error() }

// Unwrap returns the error without the reference.
func (e *about) Unwrap() error { return e.err }
