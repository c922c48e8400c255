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
	ErrNotRegular = errors.New("not a regular file")
	errChanged    = errors.New("replaced while it was opened")
)

// Find opens path below dir with O_PATH: the descriptor tells what the file is
// and changes its attributes, but neither reads nor writes it. A symbolic link
// at the end of the path is found itself.
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

// OpenNamed opens the regular file at a path that the user of this program
// gave. Symbolic links are followed, for they are the user's. The error is
// [ErrNotRegular] for anything else.
func OpenNamed(path string) (*os.File, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	found := os.NewFile(uintptr(fd), path)
	defer found.Close()
	return Reopen(found)
}

// Reopen opens the regular file that found is for reading; found may be opened
// with O_PATH. The error is [ErrNotRegular] for anything else.
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
	// O_NONBLOCK: the holder of a lease (fcntl(2)) would be waited for.
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

// Create makes the new regular file name in dir and opens it for writing. Any
// file that has the name, also a symbolic link, is fs.ErrExist.
func Create(dir *os.File, name string, perm os.FileMode) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	fd, err := CreateFD(int(dir.Fd()), name, uint32(perm.Perm()))
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// newFile makes the answer of a function on descriptors one on files.
func newFile(dir *os.File, path string) func(fd int, err error) (*os.File, error) {
	return func(fd int, err error) (*os.File, error) {
		name := filepath.Join(dir.Name(), path)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}
