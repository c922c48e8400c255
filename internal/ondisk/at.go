// SPDX-License-Identifier: Apache-2.0

// Package ondisk opens and reads below an open directory.
package ondisk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OpenAt opens name in dir and never follows a symbolic link in its last
// component.
func OpenAt(dir *os.File, name string, flags int, perm uint32) (*os.File, error) {
	for {
		fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
		if err == unix.EINTR {
			continue
		}
		path := filepath.Join(dir.Name(), name)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return os.NewFile(uintptr(fd), path), nil
	}
}

// ErrTooLarge is of a file that is larger than its reader allows.
var ErrTooLarge = errors.New("file is too large")

// ReadFile reads the regular file name in dir, which must not be larger
// than limit.
func ReadFile(dir *os.File, name string, limit int64) (_ []byte, err error) {
	f, err := OpenAt(dir, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("read %s: %w: more than %d bytes", f.Name(), ErrTooLarge, limit)
	}
	return raw, nil
}

// Lstat is lstat(2) of name in dir.
func Lstat(dir *os.File, name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return st, &os.PathError{Op: "lstat", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return st, nil
}

// Exists reports whether dir has the name.
func Exists(dir *os.File, name string) (bool, error) {
	_, err := Lstat(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Names lists dir from its beginning, whatever was read from it before.
func Names(dir *os.File) ([]string, error) {
	again, err := OpenAt(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	names, err := again.Readdirnames(-1)
	return names, errors.Join(err, again.Close())
}

// ProcPath is a path to an open directory that needs no escaping anywhere and
// fits into the 255 bytes that fsconfig(2) takes.
func ProcPath(dir *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", dir.Fd()) }
