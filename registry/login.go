// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/registry/internal/credentials"
	"github.com/layerctl/layerctl/registry/internal/failure"
)

// LoginError says that a registry does not accept the credentials that [Client.Login]
// sent. Its text is that of its cause. It matches [ErrDenied].
type LoginError struct {
	Host string // as references name it

	err error
}

// Error is the text of the cause.
func (e *LoginError) Error() string { return e.err.Error() }

// Unwrap is the cause.
func (e *LoginError) Unwrap() error { return e.err }

// Login asks the registry whether it accepts the credentials, and if so keeps them as
// docker does, for the first file of [Client.KeyFiles]: by the credential helper that
// this names for the host, or else in the file itself, as base64. A registry that asks
// for no credentials accepts any. Errors: [*LoginError], [ErrReference] for what is no
// host, [ErrNetwork].
func (c *Client) Login(ctx context.Context, host, username, password string) error {
	err := c.accepts(ctx, host, username, password)
	if err == nil {
		err = credentials.New(c.o.AuthFile).Keep(ctx, host, username, password)
	}
	if err != nil {
		return fmt.Errorf("log in to %s: %w", host, err)
	}
	return nil
}

// Logout removes the credentials for the host from where [Client.Login] keeps them. The
// error matches [ErrNotFound] where there are none.
func (c *Client) Logout(ctx context.Context, host string) error {
	err := credentials.New(c.o.AuthFile).Forget(ctx, host)
	if errors.Is(err, errkind.NotFound) {
		err = failure.Mark(ErrNotFound, err)
	}
	if err != nil {
		return fmt.Errorf("log out of %s: %w", host, err)
	}
	return nil
}

// accepts asks the registry itself whether it accepts the credentials.
func (c *Client) accepts(ctx context.Context, host, username, password string) error {
	ref, err := pingReference(host)
	if err != nil || ref.Host() != host {
		return failure.New(ErrReference, "%q is no host of a registry", host)
	}
	r, err := c.repository(ref)
	if err != nil {
		return err
	}
	err = r.Accepts(ctx, credentials.Login{Username: username, Password: password})
	if errors.Is(err, ErrDenied) {
		return &LoginError{Host: host, err: err}
	}
	return err
}
