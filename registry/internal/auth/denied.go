// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// DeniedError says that a registry does not let us in, and what it was shown.
// Its text is that of its cause. It matches [failure.Denied].
type DeniedError struct {
	Host string // as references name it
	// Sent says that credentials were sent, which it did not accept, or which
	// do not allow what was asked.
	Sent bool
	// Withheld is the token server that did not get them: it is of another
	// site than the registry, and not in Options.TokenHosts.
	Withheld string

	err error
}

// Error is that of the cause.
func (e *DeniedError) Error() string { return e.err.Error() }

// Unwrap is the cause.
func (e *DeniedError) Unwrap() error { return e.err }

// shown is what the host got to see of the user's credentials.
type shown struct {
	sent     bool
	withheld string
}

func (a *Authoriser) show(s shown) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shown = s
}

// Denied says of an error that means no what the host was shown.
func (a *Authoriser) Denied(err error) error {
	if !errors.Is(err, failure.Denied) {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return &DeniedError{Host: a.o.Host, Sent: a.shown.sent, Withheld: a.shown.withheld, err: err}
}
