// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/hosts"
)

// Login asks the registry whether it accepts the credentials, and if so keeps
// them as docker does: by the credential helper that the file names for the
// host, or in the file itself, which is [Options.AuthFile] or else the one
// that would be read first. A registry that lets everybody in accepts any.
func (c *Client) Login(ctx context.Context, host, username, password string) error {
	err := c.accepts(ctx, host, username, password)
	if err == nil {
		err = c.credentials.Keep(host, username, password)
	}
	if err != nil {
		return fmt.Errorf("log in to %s: %w", host, err)
	}
	return nil
}

// Logout forgets the credentials that [Client.Login] kept. Where there are
// none it is [ErrNotFound].
func (c *Client) Logout(host string) error {
	err := c.credentials.Forget(host)
	if errors.Is(err, errkind.NotFound) {
		err = &failure{ErrNotFound, err}
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
		return as(ErrReference, "%q is no host of a registry", host)
	}
	r, err := c.remote(ref)
	if err != nil {
		return err
	}
	p, err := c.guest(r.own(), username, password)
	if err != nil {
		return err
	}
	resp, err := p.ask(ctx, question{method: http.MethodGet})
	if err != nil {
		return err
	}
	discard(resp.Body)
	return nil
}

// guest is a peer that is not remembered, for its credentials may be wrong.
func (c *Client) guest(rt *route, username, password string) (*peer, error) {
	p, err := newPeer(c, rt.peer.host, hosts.Endpoint{URL: rt.peer.base.String(), Header: rt.peer.header})
	if err != nil {
		return nil, err
	}
	// Only the credentials differ, not how the host is spoken to.
	p.client = rt.peer.client
	p.auth = newAuthoriser(c, p.host, p.base, p.client, hosts.Endpoint{Username: username, Password: password})
	return p, nil
}
