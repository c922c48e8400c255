// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links the kernel follows in one path.
const maxLinks = 40

// errLedAway says which user made a link that is not followed.
type errLedAway struct{ uid uint32 }

func (e *errLedAway) Error() string {
	return fmt.Sprintf("is a symbolic link that user %d made, and is not followed", e.uid)
}

// Unwrap returns the kernel's error for a link that is not followed.
func (e *errLedAway) Unwrap() error { return unix.ELOOP }

// OpenPlace opens the directory at a path that the user of this program gave, for
// something to be made, mounted or changed there. It follows symbolic links that the
// caller or root made. A link of any other user is an error, because it could lead
// the caller to a directory that he did not mean. No name is looked up twice, so
// nobody can swap a link in.
func OpenPlace(path string) (*os.File, error) { return place(path, 0) }

// MakePlace is [OpenPlace], and makes missing directories with the mode perm, less
// the umask.
func MakePlace(path string, perm os.FileMode) (*os.File, error) {
	return place(path, uint32(perm.Perm()))
}

// FindPlace returns the last name of path, and opens the directory that has that name with
// O_PATH. The name need not exist. If it is a symbolic link, FindPlace follows it by
// the rules of [OpenPlace], and returns the directory and the name that it leads to.
func FindPlace(path string) (dir *os.File, name string, err error) {
	w, err := beginWalk(path, 0)
	if err != nil {
		return nil, "", err
	}
	for {
		if len(w.rest) == 0 {
			return nil, "", errors.Join(&os.PathError{Op: "open", Path: path, Err: unix.EISDIR}, w.at.Close())
		}
		if len(w.rest) == 1 && checkName(w.rest[0]) == nil {
			st, err := LstatFD(int(w.at.Fd()), w.rest[0])
			if err != nil && err != unix.ENOENT {
				return nil, "", errors.Join(&os.PathError{Op: "open", Path: path, Err: err}, w.at.Close())
			}
			if err == unix.ENOENT || st.Mode&unix.S_IFMT != unix.S_IFLNK {
				return w.at, w.rest[0], nil
			}
		}
		if err := w.step(); err != nil {
			return nil, "", errors.Join(err, w.at.Close())
		}
	}
}

func place(path string, perm uint32) (*os.File, error) {
	w, err := beginWalk(path, perm)
	if err != nil {
		return nil, err
	}
	for len(w.rest) > 0 {
		if err := w.step(); err != nil {
			return nil, errors.Join(err, w.at.Close())
		}
	}
	return w.readable()
}

// walk resolves a path, one name at a time.
type walk struct {
	path  string
	at    *os.File // the directory that was reached, opened with O_PATH
	rest  []string // the names that are left
	perm  uint32   // the mode of directories that are made; 0 makes none
	links int      // how many symbolic links were followed
}

func beginWalk(path string, perm uint32) (*walk, error) {
	if path == "" {
		return nil, &os.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	w := &walk{path: path, rest: strings.Split(path, "/"), perm: perm}
	return w, w.restart(path)
}

// restart goes to the root for an absolute path. For a relative one it stays at w.at,
// or goes to the working directory at the beginning of the walk.
func (w *walk) restart(path string) error {
	start := "."
	if strings.HasPrefix(path, "/") {
		start = "/"
	} else if w.at != nil {
		return nil
	}
	fd, err := openat(unix.AT_FDCWD, start, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return w.failed(err)
	}
	return w.move(fd, start)
}

func (w *walk) move(fd int, name string) error {
	next := os.NewFile(uintptr(fd), name)
	if w.at == nil {
		w.at = next
		return nil
	}
	was := w.at
	w.at = next
	return was.Close()
}

func (w *walk) failed(err error) error {
	return &os.PathError{Op: "open", Path: w.path, Err: err}
}

// step enters the next name, or follows it if it is a symbolic link.
func (w *walk) step() error {
	name := w.rest[0]
	w.rest = w.rest[1:]
	if name == "" || name == "." {
		return nil
	}
	dir := int(w.at.Fd())
	fd, err := openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT && w.perm != 0 {
		err = retry(func() error { return unix.Mkdirat(dir, name, w.perm) })
		if err == nil || err == unix.EEXIST {
			fd, err = openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		}
	}
	if err != nil {
		return w.failed(err)
	}
	st, err := StatFD(fd)
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		err = w.follow(fd, name, st.Uid)
		return errors.Join(err, unix.Close(fd))
	}
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err != nil {
		return errors.Join(w.failed(err), unix.Close(fd))
	}
	return w.move(fd, filepath.Join(w.at.Name(), name))
}

// follow puts the target of a symbolic link before the rest of the path.
func (w *walk) follow(link int, name string, uid uint32) error {
	if w.links++; w.links > maxLinks {
		return w.failed(unix.ELOOP)
	}
	if ours, err := w.ours(uid); err != nil || !ours {
		if err == nil {
			err = &os.PathError{Op: "open", Path: filepath.Join(w.at.Name(), name), Err: &errLedAway{uid}}
		}
		return err
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(link, "", buffer)
	if err != nil {
		return w.failed(err)
	}
	to := string(buffer[:n])
	w.rest = append(strings.Split(to, "/"), w.rest...)
	return w.restart(to)
}

// ours reports whether links of this user are followed: the caller's, root's, and
// those of the owner of the root directory, which in a user namespace is the root
// outside.
func (w *walk) ours(uid uint32) (bool, error) {
	if uid == 0 || int(uid) == os.Geteuid() {
		return true, nil
	}
	var root unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		return false, w.failed(err)
	}
	return uid == root.Uid, nil
}

// readable ends the walk: it opens the directory that was reached for reading.
func (w *walk) readable() (*os.File, error) {
	fd, err := openat(int(w.at.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(w.failed(err), w.at.Close())
	}
	return os.NewFile(uintptr(fd), w.path), w.at.Close()
}
