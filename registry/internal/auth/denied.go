// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// DeniedError says that a registry refuses access, and which credentials it was sent.
// Its text is that of its cause. It matches [failure.Denied].
type DeniedError struct {
	Host string // the registry, as references name it
	// Sent says that credentials were sent. The registry did not accept them, or
	// they do not allow the request.
	Sent bool
	// Withheld is the token server to which the credentials were not sent, because
	// it is of another site than the registry and not in Options.TokenHosts; else "".
	Withheld string

	err error
}

// Error is the text of the cause.
func (e *DeniedError) Error() string { return e.err.Error() }

// Unwrap is the cause.
func (e *DeniedError) Unwrap() error { return e.err }

// shown is to whom the user's credentials were sent the last time.
type shown struct {
	sent     bool
	withheld string
}

func (a *Authoriser) show(s shown) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shown = s
}

// Denied makes a [*DeniedError] of an error that matches [failure.Denied]. Other errors
// stay as they are.
func (a *Authoriser) Denied(err error) error {
	if !errors.Is(err, failure.Denied) {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return &DeniedError{Host: a.o.Host, Sent: a.shown.sent, Withheld: a.shown.withheld, err: err}
}
