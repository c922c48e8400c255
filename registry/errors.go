// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"github.com/layerctl/layerctl/internal/hosts"
	"github.com/layerctl/layerctl/registry/internal/auth"
	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/credentials"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/remote"
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

// ErrBlocked says that this machine's configuration forbids the registry. It
// matches [ErrDenied] too.
var ErrBlocked = hosts.ErrBlocked

// StatusError is an answer of a host that says no.
type StatusError = transport.StatusError

// AnswerError says that something else came where a manifest was asked for, as
// the login page of a network does. It matches [ErrNetwork].
type AnswerError = remote.AnswerError

// DeniedError says that a registry does not let us in, and what it was shown.
// It matches [ErrDenied].
type DeniedError = auth.DeniedError

// AuthFileError says that the file of credentials that [Options.AuthFile] or
// $LAYERCTL_AUTH_FILE names cannot be read. It matches [ErrDenied] where it
// keeps an image from being fetched.
type AuthFileError = credentials.FileError

// HTTPSError says that a peer speaks https where http was spoken. It matches
// [ErrNetwork].
type HTTPSError = transport.HTTPSError

// ProxyDeniedError says that the proxy wants other credentials. It matches
// [ErrDenied].
type ProxyDeniedError = transport.ProxyDeniedError

// PlainHTTPError says that a peer speaks http where https was spoken; see
// [Options.PlainHTTP]. It matches [ErrNetwork].
type PlainHTTPError = transport.PlainHTTPError
