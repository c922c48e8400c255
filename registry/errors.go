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

// The sentinels that errors match; test with errors.Is.
var (
	// ErrNotFound says that the registry, layout or archive has no such manifest,
	// blob or tag.
	ErrNotFound = failure.NotFound
	// ErrDenied says that the registry refuses access, with these credentials or with
	// any, or that a push is against its rules; a proxy may refuse access, too.
	ErrDenied = failure.Denied
	// ErrNetwork says that no answer came, or one that HTTP or the distribution
	// specification does not allow.
	ErrNetwork = failure.Network
	// ErrMismatch says that bytes differ from their descriptor. The error is a
	// [*MismatchError], unless a registry answers a push with another digest.
	ErrMismatch = failure.Mismatch
	// ErrMalformed says that a layout, an archive or a descriptor is invalid, or
	// exceeds a limit of this package.
	ErrMalformed = failure.Malformed
)

// MismatchError says that bytes differ from the descriptor that names them. It matches
// [ErrMismatch].
type MismatchError = content.MismatchError

// ErrBlocked says that this machine's configuration forbids the registry. It
// matches [ErrDenied] too.
var ErrBlocked = hosts.ErrBlocked

// StatusError is an answer of a host whose status is not 2xx.
type StatusError = transport.StatusError

// AnswerError says that a host answered with something else than the manifest that was
// asked for, such as the login page of a network. It matches [ErrNetwork].
type AnswerError = remote.AnswerError

// DeniedError says that a registry refuses access, and which credentials it was sent.
// It matches [ErrDenied].
type DeniedError = auth.DeniedError

// AuthFileError says that the file of credentials that [Options.AuthFile] or
// $LAYERCTL_AUTH_FILE names cannot be read. Where a registry wants credentials it
// matches [ErrDenied].
type AuthFileError = credentials.FileError

// HTTPSError says that a host that was asked over http speaks https. It matches
// [ErrNetwork].
type HTTPSError = transport.HTTPSError

// ProxyDeniedError says that a proxy wants other credentials than it got, or any. It
// matches [ErrDenied].
type ProxyDeniedError = transport.ProxyDeniedError

// PlainHTTPError says that a host that was asked over https speaks http; see
// [Options.PlainHTTP]. It matches [ErrNetwork].
type PlainHTTPError = transport.PlainHTTPError
