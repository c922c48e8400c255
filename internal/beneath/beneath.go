// SPDX-License-Identifier: Apache-2.0

// Package beneath opens and removes what lies below a directory, and is never
// led out of it.
package beneath

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens path below dir with O_PATH. Not one component is followed
// when it is a symbolic link, so a layer cannot lead out of itself.
func Open(dir *os.File, path string) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	name := filepath.Join(dir.Name(), path)
	for range 100 {
		fd, err := unix.Openat2(int(dir.Fd()), path, &how)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), name), nil
		case unix.EINTR, unix.EAGAIN: // EAGAIN: a rename somewhere raced with ".."
		case unix.ENOSYS, unix.EPERM, unix.ENAMETOOLONG:
			return walk(dir, path)
		default:
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
	}
	return walk(dir, path)
}

// walk is Open one component at a time: for kernels before 5.6, for
// sandboxes that forbid openat2, and for paths longer than PATH_MAX.
func walk(dir *os.File, path string) (*os.File, error) {
	f, err := openAt(dir, ".", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil || path == "." {
		return f, err
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		flags := unix.O_PATH
		if i < len(parts)-1 {
			flags |= unix.O_DIRECTORY
		}
		if part == ".." {
			f.Close()
			return nil, &os.PathError{Op: "open", Path: path, Err: unix.EXDEV}
		}
		next, err := openAt(f, part, flags)
		f.Close()
		if err != nil {
			return nil, err
		}
		f = next
	}
	return f, nil
}

// openAt opens name in dir, and not what a symbolic link there leads to.
func openAt(dir *os.File, name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
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
