// SPDX-License-Identifier: Apache-2.0

package content

import (
	"fmt"

	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/opencontainers/go-digest"
)

// MismatchError says that bytes differ from the descriptor that names them.
type MismatchError struct {
	Want, Got         digest.Digest // Got is "" where the size differs
	WantSize, GotSize int64         // GotSize counts the bytes until the error was clear
	// Host is the host that sent the last bytes, or the file from which they were
	// read.
	Host string
	// Resumed says that the bytes came in more than one response. If the blob is
	// fetched again from its start, it may be right.
	Resumed bool
	// Others says that the registry, a mirror or a url is left that has not sent
	// wrong bytes yet. If the blob is fetched again, it is asked first.
	Others bool
}

// Sender is where bytes came from, as in a [MismatchError].
type Sender struct {
	Host            string
	Resumed, Others bool
}

// Error says what was wanted, what came, and from where.
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

// Unwrap makes the error match [failure.Mismatch].
func (e *MismatchError) Unwrap() error { return failure.Mismatch }
