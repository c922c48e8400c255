// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Errors about what a path leads to.
var (
	// ErrNotRegular says that it is no regular file.
	ErrNotRegular = errors.New("not a regular file")
	errChanged    = errors.New("replaced while it was opened")
)

// Find opens path below dir with O_PATH: through the descriptor the file can be
// described and its attributes changed, but it cannot be read or written. If path
// ends at a symbolic link, the link itself is opened.
func Find(dir *os.File, path string) (*os.File, error) {
	return newFile(dir, path)(findFD(int(dir.Fd()), path))
}

// OpenDir opens the directory at path below dir for reading.
func OpenDir(dir *os.File, path string) (*os.File, error) {
	return newFile(dir, path)(OpenDirFD(int(dir.Fd()), path))
}

// OpenFile opens the regular file at path below dir for reading. The error is
// [ErrNotRegular] for anything else.
func OpenFile(dir *os.File, path string) (*os.File, error) {
	found, err := Find(dir, path)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	return Reopen(found)
}

// OpenNamed opens the regular file at a path that the user of this program gave, for
// reading. It follows all symbolic links. The error is [ErrNotRegular] for anything
// else.
func OpenNamed(path string) (*os.File, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	found := os.NewFile(uintptr(fd), path)
	defer found.Close()
	return Reopen(found)
}

// Reopen opens the same regular file as found for reading; found may be opened with
// O_PATH. The error is [ErrNotRegular] for anything else.
func Reopen(found *os.File) (*os.File, error) {
	fd, err := reopenFD(int(found.Fd()))
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: found.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), found.Name()), nil
}

func reopenFD(found int) (int, error) {
	st, err := StatFD(found)
	if err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, ErrNotRegular
	}
	// Without O_NONBLOCK the open would wait for the holder of a lease (fcntl(2)).
	fd, err := openat(unix.AT_FDCWD, procPath(found), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	// Only a forged /proc leads to another file.
	got, err := StatFD(fd)
	if err == nil && (got.Dev != st.Dev || got.Ino != st.Ino) {
		err = errChanged
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// Create makes the new regular file name in dir and opens it for writing. If the name
// exists, also as a symbolic link, the error is fs.ErrExist.
func Create(dir *os.File, name string, perm os.FileMode) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	fd, err := CreateFD(int(dir.Fd()), name, uint32(perm.Perm()))
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// newFile returns a function that turns the answer of a function with descriptors
// into an [os.File].
func newFile(dir *os.File, path string) func(fd int, err error) (*os.File, error) {
	return func(fd int, err error) (*os.File, error) {
		name := filepath.Join(dir.Name(), path)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}
