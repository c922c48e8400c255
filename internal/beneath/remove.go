// SPDX-License-Identifier: Apache-2.0

package beneath

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxOpenDepth bounds how many directories of a deep tree are open at once.
const maxOpenDepth = 64

// RemoveAll removes name in dir and all below it. It follows no link, opens
// directories that their owner may not enter (an unprivileged store has such)
// and manages any depth. A missing name is no error.
func RemoveAll(dir *os.File, name string) error {
	err := removeBelow(dir, name, dir, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func removeBelow(dir *os.File, name string, top *os.File, depth int) error {
	fd := int(dir.Fd())
	err := unix.Unlinkat(fd, name, 0)
	if err == nil {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return &os.PathError{Op: "remove", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	if depth == maxOpenDepth {
		moved := "deep-" + rand.Text()
		if err := unix.Renameat(fd, name, int(top.Fd()), moved); err != nil {
			return &os.PathError{Op: "rename", Path: filepath.Join(dir.Name(), name), Err: err}
		}
		return removeBelow(top, moved, top, 0)
	}
	sub, err := openToEmpty(dir, name)
	if err != nil {
		return err
	}
	err = removeChildren(sub, top, depth)
	if err := errors.Join(err, sub.Close()); err != nil {
		return err
	}
	if err := unix.Unlinkat(fd, name, unix.AT_REMOVEDIR); err != nil {
		return &os.PathError{Op: "rmdir", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}

func removeChildren(sub, top *os.File, depth int) error {
	for {
		names, err := sub.Readdirnames(1024)
		for _, child := range names {
			if err := removeBelow(sub, child, top, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if len(names) == 0 || err != nil {
			return nil // io.EOF; what could not be listed shows at rmdir
		}
	}
}

func openToEmpty(dir *os.File, name string) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, &os.PathError{Op: "lstat", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	if st.Mode&0o700 != 0o700 && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		// fchmodat follows links, but the name was a directory a moment ago
		// and nobody else writes in here. Root needs it not, so an error
		// shows where it matters, at the open.
		_ = unix.Fchmodat(int(dir.Fd()), name, 0o700, 0)
	}
	return openAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
}
