// SPDX-License-Identifier: Apache-2.0

package layerstream

import "fmt"

// FormatError says what is wrong with the compressed data.
type FormatError struct {
	// Offset is the byte of the blob, -1 where it is not known.
	Offset int64
	Reason string
}

func (e *FormatError) Error() string {
	if e.Offset < 0 {
		return e.Reason
	}
	return fmt.Sprintf("at byte %d: %s", e.Offset, e.Reason)
}

// LimitError says which limit the tar is over.
type LimitError struct {
	// Limit is "bytes" for [Options.MaxSize], "ratio" for [Options.MaxRatio], or
	// "window" for [Windows].
	Limit string
	Max   int64
	// Asked is what the data asks for; 0 where that is not known beforehand.
	Asked int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("more than %d for %s", e.Max, e.Limit)
}
