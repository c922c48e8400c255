// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
)

// clearLeftovers removes the temporary directories of processes that were
// killed, in a directory where this user makes some. Each is the user's own,
// has a name and a mode that only this package gives, and is locked by its
// process for as long as that lives.
func clearLeftovers(holder *os.File) error {
	names, err := fsat.Names(holder)
	if err != nil {
		return nil //nolint:nilerr // what cannot be listed cannot be tidied
	}
	var errs []error
	for _, name := range names {
		if strings.HasPrefix(name, tempPrefix) && len(name) == len(tempPrefix)+randomLength {
			errs = append(errs, clearLeftover(holder, name))
		}
	}
	return errors.Join(errs...)
}

// randomLength is that of rand.Text.
const randomLength = 26

func clearLeftover(holder *os.File, name string) error {
	dir, err := fsat.OpenDir(holder, name)
	if err != nil {
		return nil //nolint:nilerr // no directory, or gone meanwhile: none of ours
	}
	defer dir.Close()
	st, err := fsat.Stat(dir)
	if err != nil || int(st.Uid) != os.Geteuid() || st.Mode&0o7777 != 0o700 {
		return err
	}
	if unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil // its process lives
	}
	return fsat.RemoveAll(holder, name)
}

// lock claims a temporary directory that was just made; false where another
// process has taken it for a leftover in between.
func lock(holder, dir *os.File, name string) (bool, error) {
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if err == unix.EWOULDBLOCK {
			return false, nil
		}
		return true, nil //nolint:nilerr // a filesystem without locks: nobody else can lock it either
	}
	made, err := fsat.Stat(dir)
	if err != nil {
		return false, err
	}
	there, err := fsat.Lstat(holder, name)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil && there.Ino == made.Ino && there.Dev == made.Dev, err
}
