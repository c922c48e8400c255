// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/layerctl/layerctl/errkind"
	"github.com/opencontainers/go-digest"
)

// What callers branch on; test with errors.Is.
var (
	// ErrNotFound says that the registry, layout or archive has no such thing.
	ErrNotFound = errkind.New(errkind.NotFound, "not found")
	// ErrDenied says that the registry wants other credentials, or none would
	// do; also that credentials were not sent where they do not belong.
	ErrDenied = errkind.New(errkind.Denied, "access denied")
	// ErrNetwork says that no answer came, or none that HTTP or the
	// distribution specification allows.
	ErrNetwork = errkind.New(errkind.Network, "network failure")
	// ErrMismatch says that the bytes are not those that were named; the error
	// is a [*MismatchError].
	ErrMismatch = errkind.New(errkind.Mismatch, "content does not match its descriptor")
	// ErrMalformed says that a layout or an archive is none, or that a
	// descriptor asks for more than the limits of this package.
	ErrMalformed = errkind.New(errkind.Malformed, "malformed image")
	// ErrPlainHTTP says that the peer speaks http where https was spoken; see
	// [Options.PlainHTTP]. Such an error matches [ErrNetwork] too.
	ErrPlainHTTP = errors.New("peer speaks plain http")
)

// MismatchError says that bytes differ from the descriptor they came for. It
// matches [ErrMismatch].
type MismatchError struct {
	Want, Got         digest.Digest // Got is "" where the size alone decided
	WantSize, GotSize int64         // GotSize is what was seen before giving up
	// Host sent the bytes (the last of them, where several did), or the file
	// they were read from.
	Host string
	// Resumed is true where the bytes came in more than one response: a whole
	// new try may then succeed.
	Resumed bool
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

// Is makes the error match [ErrMismatch].
func (e *MismatchError) Unwrap() error { return ErrMismatch }

// failure is err under one of the sentinels, whose own text is left out: err
// says it better.
type failure struct {
	kind error
	err  error
}

func (f *failure) Error() string   { return f.err.Error() }
func (f *failure) Unwrap() []error { return []error{f.kind, f.err} }

// network marks err as a failure of the network, unless it is the caller who
// gave up.
func network(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return &failure{ErrNetwork, err}
}

// as marks the formatted error as one of the sentinels.
func as(kind error, format string, args ...any) error {
	return &failure{kind, fmt.Errorf(format, args...)}
}
