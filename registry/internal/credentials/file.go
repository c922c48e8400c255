// SPDX-License-Identifier: Apache-2.0

package credentials

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
)

const (
	// hub is the host of Docker Hub as references name it.
	hub = "docker.io"
	// hubKey is where docker keeps the credentials of Docker Hub.
	hubKey = "https://index.docker.io/v1/"
)

// Login is what convinces a registry; the zero value is nothing.
type Login struct {
	Username, Password string
	// IdentityToken is exchanged for the token of a repository (OAuth 2).
	IdentityToken string
	// RegistryToken is sent to the registry as it is.
	RegistryToken string
}

// Store is where credentials are kept.
type Store struct {
	files    []string
	required bool
}

// New returns the store that is the file, which must be there; or where file
// is "" that of $LAYERCTL_AUTH_FILE, or else of the usual files, which need
// not be there.
func New(file string) Store {
	if file == "" {
		file = os.Getenv("LAYERCTL_AUTH_FILE")
	}
	if file != "" {
		return Store{files: []string{file}, required: true}
	}
	return Store{files: usualFiles()}
}

// Files are the files in which credentials are looked for, in that order.
func (s Store) Files() []string { return s.files }

// usualFiles are docker's own and containers', see containers-auth.json(5).
func usualFiles() []string {
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

// Find returns the credentials for a repository of a host, both named as
// references do, from the first file that has some. None is no error.
func (s Store) Find(ctx context.Context, host, repository string) (Login, error) {
	for _, path := range s.files {
		login, err := s.findIn(path, host, repository)
		if err != nil || login != (Login{}) {
			return login, err
		}
	}
	return Login{}, nil
}

func (s Store) findIn(path, host, repository string) (Login, error) {
	cf, err := s.load(path)
	if err != nil || cf == nil {
		return Login{}, err
	}
	for _, key := range keys(host, repository) {
		c, err := cf.GetAuthConfig(key)
		if err != nil {
			return Login{}, fmt.Errorf("ask the credential helper of %s: %w", path, helperError(err))
		}
		login := Login{
			Username: c.Username, Password: c.Password,
			IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
		}
		if login != (Login{}) {
			return login, nil
		}
	}
	return Login{}, nil
}

// load reads a file. It is read each time: helpers and other programs renew
// what is in it.
func (s Store) load(path string) (*configfile.ConfigFile, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !s.required {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cf, err := config.LoadFromReader(f)
	if err != nil {
		// Its own error may repeat the secret that it could not decode.
		return nil, fmt.Errorf("%s is not in the form of docker's config.json", path)
	}
	return cf, nil
}

// keys are the names under which credentials may be kept, the narrowest first.
func keys(host, repository string) []string {
	var all []string
	for name := host + "/" + repository; name != host; name = name[:strings.LastIndexByte(name, '/')] {
		all = append(all, name)
	}
	all = append(all, host)
	if host == hub {
		all = append(all, hubKey)
	}
	return all
}

// helperError is what a credential helper says, on one line.
func helperError(err error) error { return errors.New(oneLine(err.Error())) }

// oneLine is s with whatever a terminal could take for a command escaped, and
// no longer than a line may be.
func oneLine(s string) string {
	const longest = 200
	cut := len(s) > longest
	s = fmt.Sprintf("%+q", s[:min(len(s), longest)])
	s = strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	if cut {
		s += "…"
	}
	return s
}
