// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
)

// clearLeftovers removes the temporary directories that killed processes left in
// holder. It removes a directory only if this user owns it, if its name and its mode
// are those that this package gives, and if no process holds its lock.
func clearLeftovers(holder *os.File) error {
	names, err := fsat.Names(holder)
	if err != nil {
		return nil //nolint:nilerr // no reason to make no tree
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

// lock locks a temporary directory that was just made. It returns false if another
// process has taken the directory for a leftover before it was locked.
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
