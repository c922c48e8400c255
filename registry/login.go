// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/layerctl/layerctl/internal/hosts"
)

// Login asks the registry whether it accepts the credentials, and if so keeps
// them as docker does: by the credential helper that the file names for the
// host, or in the file itself, which is [Options.AuthFile] or else the one
// that would be read first. A registry that lets everybody in accepts any.
func (c *Client) Login(ctx context.Context, host, username, password string) error {
	err := c.accepts(ctx, host, username, password)
	if err == nil {
		err = store(c.o.AuthFile, func(cf *configfile.ConfigFile) error {
			return keep(cf, storeKey(host), types.AuthConfig{Username: username, Password: password})
		})
	}
	if err != nil {
		return fmt.Errorf("log in to %s: %w", host, err)
	}
	return nil
}

// keep leaves it to a helper, if there is one for the key. Where there is
// none, docker's own code would also print a warning, which is not ours to do.
func keep(cf *configfile.ConfigFile, key string, c types.AuthConfig) error {
	c.ServerAddress = key
	if cf.CredentialsStore != "" || cf.CredentialHelpers[key] != "" {
		return cf.GetCredentialsStore(key).Store(c)
	}
	cf.AuthConfigs[key] = c
	return cf.Save()
}

// Logout forgets the credentials that [Client.Login] kept. Where there are
// none it is [ErrNotFound].
func (c *Client) Logout(host string) error {
	err := store(c.o.AuthFile, func(cf *configfile.ConfigFile) error {
		key := storeKey(host)
		s := cf.GetCredentialsStore(key)
		kept, err := s.Get(key)
		if err != nil {
			return err
		}
		if kept.Username == "" && kept.IdentityToken == "" {
			return as(ErrNotFound, "no credentials for %s in %s", host, cf.Filename)
		}
		return s.Erase(key)
	})
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

func storeKey(host string) string {
	if host == dockerHub {
		return hubKey
	}
	return host
}

// store changes the file that credentials are kept in, which is made where it
// is missing.
func store(file string, change func(*configfile.ConfigFile) error) error {
	if file == "" {
		file = os.Getenv("LAYERCTL_AUTH_FILE")
	}
	if file == "" {
		file = usualKeyFiles()[0]
	}
	cf, err := keyFile{path: file}.load()
	if err != nil {
		return err
	}
	if cf == nil {
		cf = configfile.New(file)
	}
	cf.Filename = file
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	err = change(cf)
	var path *fs.PathError
	if err == nil || errors.Is(err, ErrNotFound) || errors.As(err, &path) {
		return err
	}
	return fmt.Errorf("%s: %w", file, helperError(err))
}
