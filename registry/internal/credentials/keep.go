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

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
)

// Keep keeps a user's name and password for the host as docker does: by the
// credential helper that the first file names for it, or in that file itself,
// which is made where it is missing. It becomes a file that its owner alone
// can read, and must be the caller's own.
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
	f.remove(host) // whatever else means the host would be found first
	f.auths[storeKey(host)] = raw
	return f.write(ctx)
}

// Forget removes what [Store.Keep] kept. Where there is nothing the error is
// an [errkind.NotFound].
func (s Store) Forget(ctx context.Context, host string) error {
	f, err := s.first()
	if err != nil {
		return err
	}
	if q, ok := f.helperOf(host); ok {
		kept, err := q.get(ctx, s.limit)
		if err == nil && kept != (Login{}) {
			err = q.forget(ctx, s.limit)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		if kept != (Login{}) && !f.remove(host) {
			return nil
		}
		if kept != (Login{}) {
			return f.write(ctx)
		}
	}
	if !f.remove(host) {
		return errkind.With(errkind.NotFound, fmt.Errorf("no credentials for %s in %s", host, f.path))
	}
	return f.write(ctx)
}

// remove removes every entry of the host, and says whether there was one.
func (f *file) remove(host string) bool {
	keys := f.keysOf(host)
	for _, key := range keys {
		delete(f.auths, key)
	}
	return len(keys) > 0
}

// first is the file that is changed, which need not be there.
func (s Store) first() (*file, error) {
	f, err := readFile(s.paths[0])
	if errors.Is(err, fs.ErrNotExist) {
		return parse(s.paths[0], nil)
	}
	return f, err
}

// write replaces the file. A symbolic link stays, and what it leads to is
// replaced.
func (f *file) write(ctx context.Context) error {
	auths := map[string]json.RawMessage{}
	for key, e := range f.auths {
		auths[key] = json.RawMessage(e)
	}
	var err error
	if f.content["auths"], err = json.Marshal(auths); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(f.content, "", "\t")
	if err != nil {
		return err
	}
	path, err := filepath.EvalSymlinks(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		path, err = f.path, os.MkdirAll(filepath.Dir(f.path), 0o700)
	}
	if err != nil {
		return err
	}
	dir, err := durable.OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := ours(path, dir); err != nil {
		return err
	}
	return durable.WriteFile(ctx, dir, filepath.Base(path), append(raw, '\n'), 0o600)
}

// ours says whether a secret may be written to the file: who owns the file or
// its directory can read what stands there.
func ours(path string, dir *os.File) error {
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
