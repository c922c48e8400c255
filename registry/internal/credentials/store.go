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
	"time"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// Login is a user's credentials for a registry; the zero value has none.
type Login struct {
	Username, Password string
	// IdentityToken is exchanged for a token for a repository (OAuth 2).
	IdentityToken string
	// RegistryToken is sent to the registry as it is.
	RegistryToken string
}

// Store is the files in which credentials are kept.
type Store struct {
	// paths lists the files in the order of the search.
	paths []string
	// required says that the only file must exist, because the caller named it.
	required bool
	// environment is the content of $DOCKER_AUTH_CONFIG.
	environment string
	// limit is how long one credential helper may take.
	limit time.Duration
}

// helperLimit is long enough for a helper that asks a service in a cloud or unlocks a
// keyring.
const helperLimit = 30 * time.Second

// New returns the store of one file, which must exist: file, or where that is ""
// $LAYERCTL_AUTH_FILE. Where both are "" it is the store of the usual files, which need
// not exist. $DOCKER_AUTH_CONFIG, whose content is that of such a file, is read after a
// named file and before the usual ones.
func New(file string) Store {
	s := Store{environment: os.Getenv("DOCKER_AUTH_CONFIG"), limit: helperLimit}
	if file == "" {
		file = os.Getenv("LAYERCTL_AUTH_FILE")
	}
	if file != "" {
		s.paths, s.required = []string{file}, true
	} else {
		s.paths = usualPaths()
	}
	return s
}

// Files lists the files in which credentials are looked for, in that order.
func (s Store) Files() []string { return s.paths }

// usualPaths lists docker's own file and those of containers-auth.json(5).
func usualPaths() []string {
	var paths []string
	add := func(dir string, name ...string) {
		if dir != "" {
			paths = append(paths, filepath.Join(append([]string{dir}, name...)...))
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
	return paths
}

// FileError says that a file of credentials that the caller named cannot be
// read. Its text is that of its cause, which names the file.
type FileError struct{ err error }

// Error is the text of the cause.
func (e *FileError) Error() string { return e.err.Error() }

// Unwrap is the cause.
func (e *FileError) Unwrap() error { return e.err }

// SkippedError says which files could not be read and which helpers could not be asked.
// No other file had credentials.
type SkippedError struct{ reasons []error }

// Error gives the reasons on one line.
func (e *SkippedError) Error() string {
	var texts []string
	for _, r := range e.reasons {
		texts = append(texts, r.Error())
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the reasons.
func (e *SkippedError) Unwrap() []error { return e.reasons }

// Find returns the credentials for a repository of a host, both as references name
// them, from the first file that has some. Where none has, it returns a zero Login, and
// as its error nil, or a [*SkippedError] if something could not be read. A file that the
// caller named and that cannot be read is a [*FileError].
func (s Store) Find(ctx context.Context, host, repository string) (Login, error) {
	var skipped []error
	for _, load := range s.sources() {
		f, err := load()
		switch {
		case errors.Is(err, fs.ErrNotExist) && !s.required:
			continue
		case err != nil && s.required:
			return Login{}, &FileError{err}
		case err != nil:
			skipped = append(skipped, err)
			continue
		}
		login, errs := s.search(ctx, f, host, repository)
		skipped = append(skipped, errs...)
		if login != (Login{}) {
			return login, nil
		}
		if err := ctx.Err(); err != nil {
			return Login{}, err
		}
	}
	if skipped != nil {
		return Login{}, &SkippedError{skipped}
	}
	return Login{}, nil
}

// sources returns functions that read the files, and $DOCKER_AUTH_CONFIG, in the order
// of the search. Files are read each time, because other programs change them.
func (s Store) sources() []func() (*file, error) {
	var all []func() (*file, error)
	for _, path := range s.paths {
		all = append(all, func() (*file, error) { return readFile(path) })
	}
	if s.environment == "" {
		return all
	}
	environment := func() (*file, error) { return parse("$DOCKER_AUTH_CONFIG", []byte(s.environment)) }
	if s.required {
		return append(all, environment)
	}
	return append([]func() (*file, error){environment}, all...)
}

// search looks in one file for the narrowest name first, as containers-auth.json(5)
// says. For each name the login of a helper takes precedence over that in the file, as
// with docker. It also returns what could not be read.
func (s Store) search(ctx context.Context, f *file, host, repository string) (Login, []error) {
	var skipped []error
	for _, name := range names(host, repository) {
		for _, q := range f.helpersOf(name, name == host) {
			login, err := q.get(ctx, s.limit)
			if login != (Login{}) {
				return login, nil
			}
			if err != nil {
				skipped = append(skipped, fmt.Errorf("%s: %w", f.path, err))
				break // the same helper would fail for another key, too
			}
		}
		for _, key := range f.keysOf(name) {
			login, err := f.auths[key].login()
			if login != (Login{}) {
				return login, nil
			}
			if err != nil {
				skipped = append(skipped, fmt.Errorf("%s: the entry of %s %w", f.path, failure.OneLine(key), err))
			}
		}
	}
	return Login{}, skipped
}

// names lists the names under which credentials for a repository may be kept, the
// narrowest first.
func names(host, repository string) []string {
	var all []string
	for name := host + "/" + repository; name != host; name = name[:strings.LastIndexByte(name, '/')] {
		all = append(all, name)
	}
	return append(all, host)
}
