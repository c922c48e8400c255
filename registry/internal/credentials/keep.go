// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/layerctl/layerctl/errkind"
)

// Keep keeps a user's name and password for the host as docker does: by the
// credential helper that the first file names for it, or in that file itself,
// which is made where it is missing.
func (s Store) Keep(host, username, password string) error {
	return s.change(func(cf *configfile.ConfigFile) error {
		return keep(cf, types.AuthConfig{ServerAddress: storeKey(host), Username: username, Password: password})
	})
}

// keep leaves it to a helper, if there is one for the key. Where there is
// none, docker's own code would also print a warning, which is not ours to do.
func keep(cf *configfile.ConfigFile, c types.AuthConfig) error {
	key := c.ServerAddress
	if cf.CredentialsStore != "" || cf.CredentialHelpers[key] != "" {
		return cf.GetCredentialsStore(key).Store(c)
	}
	cf.AuthConfigs[key] = c
	return cf.Save()
}

// Forget removes what [Store.Keep] kept. Where there is nothing the error is
// an [errkind.NotFound].
func (s Store) Forget(host string) error {
	return s.change(func(cf *configfile.ConfigFile) error {
		key := storeKey(host)
		helper := cf.GetCredentialsStore(key)
		kept, err := helper.Get(key)
		if err != nil {
			return err
		}
		if kept.Username == "" && kept.IdentityToken == "" {
			return errkind.With(errkind.NotFound, fmt.Errorf("no credentials for %s in %s", host, cf.Filename))
		}
		return helper.Erase(key)
	})
}

// storeKey is the key under which docker keeps the credentials of a host.
func storeKey(host string) string {
	if host == hub {
		return hubKey
	}
	return host
}

// change changes the first file.
func (s Store) change(change func(*configfile.ConfigFile) error) error {
	file := s.files[0]
	s.required = false
	cf, err := s.load(file)
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
	if err == nil || errors.Is(err, errkind.NotFound) || errors.As(err, &path) {
		return err
	}
	return fmt.Errorf("%s: %w", file, helperError(err))
}
