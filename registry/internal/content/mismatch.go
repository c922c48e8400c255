// SPDX-License-Identifier: Apache-2.0

package content

import (
	"fmt"

	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/opencontainers/go-digest"
)

// MismatchError says that bytes differ from the descriptor they came for.
type MismatchError struct {
	Want, Got         digest.Digest // Got is "" where the size alone decided
	WantSize, GotSize int64         // GotSize is what was seen before giving up
	// Host sent the bytes (the last of them, where several did), or the file
	// they were read from.
	Host string
	// Resumed is true where the bytes came in more than one response: a whole
	// new try may then succeed.
	Resumed bool
	// Others is true where a mirror, the registry or a url has not sent wrong
	// bytes yet: a new try asks it first.
	Others bool
}

// Sender is what a [MismatchError] says of where bytes came from.
type Sender struct {
	Host            string
	Resumed, Others bool
}

// Error names what was wanted, what came, and from where.
func (e *MismatchError) Error() string {
	from := ""
	if e.Host != "" {
		from = " from " + e.Host
	}
	if e.Resumed {
		from += " (resumed)"
	}
	switch {
	case e.Got != "":
		return fmt.Sprintf("%s does not match:%s came %s", e.Want, from, e.Got)
	case e.GotSize > e.WantSize:
		return fmt.Sprintf("%s does not match:%s came more than its %d bytes", e.Want, from, e.WantSize)
	default:
		return fmt.Sprintf("%s does not match:%s came %d of %d bytes", e.Want, from, e.GotSize, e.WantSize)
	}
}

// Unwrap makes the error match the sentinel of all mismatches.
func (e *MismatchError) Unwrap() error { return failure.Mismatch }
