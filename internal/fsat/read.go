// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrTooLarge says that a file is larger than the limit.
var ErrTooLarge = errors.New("file is too large")

// ReadFile reads the regular file at path below dir. If it has more than limit bytes
// the error is [ErrTooLarge].
func ReadFile(dir *os.File, path string, limit int64) (_ []byte, err error) {
	f, err := OpenFile(dir, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	raw, err := readUpTo(f, limit)
	if err == ErrTooLarge {
		err = fmt.Errorf("read %s: %w: more than %d bytes", f.Name(), err, limit)
	}
	return raw, err
}

// readUpTo reads an open file of at most limit bytes. For a larger one, and one that
// grows while it is read, the error is ErrTooLarge itself.
func readUpTo(f *os.File, limit int64) ([]byte, error) {
	st, err := Stat(f)
	if err != nil {
		return nil, err
	}
	if st.Size > limit {
		return nil, ErrTooLarge
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, err
	}
	return raw, nil
}

// Lstat describes name in dir. It does not follow a symbolic link.
func Lstat(dir *os.File, name string) (unix.Stat_t, error) {
	st, err := LstatFD(int(dir.Fd()), name)
	if err != nil {
		return st, &os.PathError{Op: "lstat", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return st, nil
}

// Stat describes an open file, which may be opened with O_PATH.
func Stat(f *os.File) (unix.Stat_t, error) {
	st, err := StatFD(int(f.Fd()))
	if err != nil {
		return st, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return st, nil
}

// Exists reports whether dir has the name, of any type.
func Exists(dir *os.File, name string) (bool, error) {
	_, err := Lstat(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Names lists the names in dir, also if some were read through dir before. They are
// not sorted.
func Names(dir *os.File) ([]string, error) {
	list, err := OpenDir(dir, ".")
	if err != nil {
		return nil, err
	}
	names, err := list.Readdirnames(-1)
	return names, errors.Join(err, list.Close())
}

// Readlink reads the target of a symbolic link; f is the link, opened with O_PATH.
func Readlink(f *os.File) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(int(f.Fd()), "", buf)
		if err != nil {
			return "", &os.PathError{Op: "readlink", Path: f.Name(), Err: err}
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// ReadNamed reads the regular file at a path that the user of this program gave. More
// than limit bytes, and any other type of file, are an error. /dev/null is an empty
// file: with it a user turns a file off.
func ReadNamed(path string, limit int64) (_ []byte, err error) {
	if path == os.DevNull {
		return nil, nil
	}
	f, err := OpenNamed(path)
	if errors.Is(err, ErrNotRegular) {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	raw, err := readUpTo(f, limit)
	if err == ErrTooLarge {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return raw, err
}
