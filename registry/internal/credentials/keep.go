// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
)

// Keep keeps a user's name and password for the host as docker does: by the
// credential helper that the first of [Store.Files] names for the host, or else in
// that file, as base64, in place of all its entries for the host. The file is made
// where it is missing. It must be the caller's own, and only its owner can read it
// afterwards. What other processes of this program keep in it meanwhile stays.
func (s Store) Keep(ctx context.Context, host, username, password string) error {
	f, err := s.first()
	if err != nil {
		return err
	}
	if q, ok := f.helperOf(host); ok {
		if err := q.keep(ctx, s.limit, username, password); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		return nil
	}
	auth := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
	raw, err := json.Marshal(map[string]string{"auth": auth})
	if err != nil {
		return err
	}
	return s.change(ctx, func(f *file) {
		f.remove(host) // another key of the host might be found first
		f.auths[storeKey(host)] = raw
	})
}

// Forget removes the login of a host from where [Store.Keep] keeps it. The error is
// an [errkind.NotFound] where there is none.
func (s Store) Forget(ctx context.Context, host string) error {
	f, err := s.first()
	if err != nil {
		return err
	}
	found := len(f.keysOf(host)) > 0
	if q, ok := f.helperOf(host); ok {
		kept, err := q.get(ctx, s.limit)
		if err == nil && kept != (Login{}) {
			found = true
			err = q.forget(ctx, s.limit)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	switch {
	case !found:
		return errkind.With(errkind.NotFound, fmt.Errorf("no credentials for %s in %s", host, f.path))
	case len(f.keysOf(host)) == 0: // only the helper had some
		return nil
	}
	return s.change(ctx, func(f *file) { f.remove(host) })
}

// remove removes every entry of the host.
func (f *file) remove(host string) {
	for _, key := range f.keysOf(host) {
		delete(f.auths, key)
	}
}

// first reads the file that is changed; a missing one is empty. Without a home and
// without any of the variables that name a file there is none.
func (s Store) first() (*file, error) {
	if len(s.paths) == 0 {
		return nil, errkind.With(errkind.Usage, errors.New("neither HOME nor DOCKER_CONFIG is set, where credentials are kept"))
	}
	f, err := readFile(s.paths[0])
	if errors.Is(err, fs.ErrNotExist) {
		return parse(s.paths[0], nil)
	}
	return f, err
}

// lockWait is how long a login waits for another one to be written.
const lockWait = 10 * time.Second

// change replaces the first file by what edit makes of it. If it is a symbolic link
// its target is replaced.
func (s Store) change(ctx context.Context, edit func(*file)) error {
	path, err := filepath.EvalSymlinks(s.paths[0])
	if errors.Is(err, fs.ErrNotExist) {
		path, err = s.paths[0], os.MkdirAll(filepath.Dir(s.paths[0]), 0o700)
	}
	if err != nil {
		return err
	}
	dir, err := durable.OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := checkOwner(path, dir); err != nil {
		return err
	}
	// From the reading to the writing, or else two logins at once lose one. Not all
	// filesystems let a directory be locked, NFS for one, and everybody may lock /tmp
	// for ever: there it is not locked.
	locking, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	if err := durable.Flock(locking, dir, durable.Exclusive, nil); err != nil && ctx.Err() != nil {
		return err
	}
	f, err := s.first()
	if err != nil {
		return err
	}
	edit(f)
	raw, err := f.encode()
	if err != nil {
		return err
	}
	return durable.WriteFile(ctx, dir, filepath.Base(path), raw, 0o600)
}

// encode returns the content of the file.
func (f *file) encode() ([]byte, error) {
	auths := map[string]json.RawMessage{}
	for key, e := range f.auths {
		auths[key] = json.RawMessage(e)
	}
	var err error
	if f.content["auths"], err = json.Marshal(auths); err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(f.content, "", "\t")
	return append(raw, '\n'), err
}

// checkOwner refuses to write a secret to a file of another user, or into a directory
// of another user than root, because its owner could read the file.
func checkOwner(path string, dir *os.File) error {
	st, err := dir.Stat()
	if err != nil {
		return err
	}
	owner, self := st.Sys().(*syscall.Stat_t).Uid, uint32(os.Geteuid())
	if owner != self && owner != 0 {
		return fmt.Errorf("directory %s belongs to user %d", dir.Name(), owner)
	}
	file, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if owner := file.Sys().(*syscall.Stat_t).Uid; owner != self {
		return fmt.Errorf("%s belongs to user %d", path, owner)
	}
	return nil
}
