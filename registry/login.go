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

// LoginError says that a registry does not accept the credentials that
// [Client.Login] showed it. Its text is that of its cause. It matches
// [ErrDenied].
type LoginError struct {
	Host string // as references name it

	err error
}

// Error is that of the cause.
func (e *LoginError) Error() string { return e.err.Error() }

// Unwrap is the cause.
func (e *LoginError) Unwrap() error { return e.err }

// Login asks the registry whether it accepts the credentials, and if so keeps
// them as docker does: by the credential helper that the file names for the
// host, or in the file itself, which is [Options.AuthFile] or else the one
// that would be read first. A registry that lets everybody in accepts any.
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

// Logout forgets the credentials that [Client.Login] kept. Where there are
// none it is [ErrNotFound].
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

// accepts asks the API itself, with these credentials. Mirrors are not asked.
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
