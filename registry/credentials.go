// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-containerregistry/pkg/authn"
)

// hubKey is where docker keeps the credentials of Docker Hub.
const hubKey = authn.DefaultAuthKey

// resource is what an authn.Keychain is asked about.
type resource struct{ host, repo string }

func (r resource) String() string      { return r.host + "/" + r.repo }
func (r resource) RegistryStr() string { return r.host }

// credentials asks the keychain; none is no error.
func credentials(ctx context.Context, k authn.Keychain, host, repo string) (authn.AuthConfig, error) {
	auth, err := authn.Resolve(ctx, k, resource{host, repo})
	if err != nil {
		return authn.AuthConfig{}, as(ErrDenied, "credentials for %s: %w", host, err)
	}
	c, err := authn.Authorization(ctx, auth)
	if err != nil {
		return authn.AuthConfig{}, as(ErrDenied, "credentials for %s: %w", host, err)
	}
	return *c, nil
}

// newKeychain is the keychain of one file that must be there, or of the usual
// ones that need not. It differs from authn.DefaultKeychain in that it looks
// into the next file where one has nothing for the host, and knows the
// narrower keys of containers' auth.json ("quay.io/team").
func newKeychain(file string) authn.Keychain {
	if file == "" {
		file = os.Getenv("LAYERCTL_AUTH_FILE")
	}
	if file != "" {
		return keyFile{path: file, required: true}
	}
	var all []authn.Keychain
	for _, path := range usualKeyFiles() {
		all = append(all, keyFile{path: path})
	}
	return authn.NewMultiKeychain(all...)
}

// usualKeyFiles are docker's own and containers', see containers-auth.json(5).
func usualKeyFiles() []string {
	var files []string
	add := func(dir string, name ...string) {
		if dir != "" {
			files = append(files, filepath.Join(append([]string{dir}, name...)...))
		}
	}
	home, _ := os.UserHomeDir()
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(home, ".docker", "config.json")
	}
	add(os.Getenv("REGISTRY_AUTH_FILE"))
	add(os.Getenv("XDG_RUNTIME_DIR"), "containers", "auth.json")
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add(home, ".config", "containers", "auth.json")
	}
	return files
}

// keyFile is a docker config.json or a containers auth.json. It is read each
// time: helpers and other programs renew what is in it.
type keyFile struct {
	path     string
	required bool
}

// Resolve implements authn.Keychain.
func (k keyFile) Resolve(r authn.Resource) (authn.Authenticator, error) {
	cf, err := k.load()
	if err != nil || cf == nil {
		return authn.Anonymous, err
	}
	for _, key := range keys(r.String(), r.RegistryStr()) {
		c, err := cf.GetAuthConfig(key)
		if err != nil {
			return nil, fmt.Errorf("ask the credential helper of %s: %w", k.path, helperError(err))
		}
		a := authn.AuthConfig{
			Username: c.Username, Password: c.Password,
			IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
		}
		if a != (authn.AuthConfig{}) {
			return authn.FromConfig(a), nil
		}
	}
	return authn.Anonymous, nil
}

func (k keyFile) load() (*configfile.ConfigFile, error) {
	f, err := os.Open(k.path)
	if errors.Is(err, fs.ErrNotExist) && !k.required {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cf, err := config.LoadFromReader(f)
	if err != nil {
		// Its own error may repeat the secret that it could not decode.
		return nil, fmt.Errorf("%s is not in the form of docker's config.json", k.path)
	}
	return cf, nil
}

// configured is credentials that a host's own configuration holds.
type configured struct{ authn.AuthConfig }

// Resolve implements authn.Keychain.
func (c configured) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(c.AuthConfig), nil
}

// keys are the names under which credentials may be kept, the narrowest first.
func keys(name, host string) []string {
	var all []string
	for name != host && strings.HasPrefix(name, host) {
		all = append(all, name)
		name = name[:strings.LastIndexByte(name, '/')]
	}
	all = append(all, host)
	if host == dockerHub {
		all = append(all, hubKey)
	}
	return all
}

// helperError is what a credential helper says, on one line.
func helperError(err error) error { return errors.New(oneLine(err.Error())) }
