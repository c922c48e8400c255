// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
)

// What callers branch on; test with errors.Is.
var (
	// ErrNotFound says that the registry, layout or archive has no such thing.
	ErrNotFound = failure.NotFound
	// ErrDenied says that the registry wants other credentials, or none would
	// do; also that credentials were not sent where they do not belong.
	ErrDenied = failure.Denied
	// ErrNetwork says that no answer came, or none that HTTP or the
	// distribution specification allows.
	ErrNetwork = failure.Network
	// ErrMismatch says that the bytes are not those that were named; the error
	// is a [*MismatchError].
	ErrMismatch = failure.Mismatch
	// ErrMalformed says that a layout or an archive is none, or that a
	// descriptor asks for more than the limits of this package.
	ErrMalformed = failure.Malformed
)

// MismatchError says that bytes differ from the descriptor they came for. It
// matches [ErrMismatch].
type MismatchError = content.MismatchError

// PlainHTTPError says that a peer speaks http where https was spoken; see
// [Options.PlainHTTP]. It matches [ErrNetwork].
type PlainHTTPError = transport.PlainHTTPError
