// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// maxOpenDepth bounds how many directories of a deep tree are open at once.
	maxOpenDepth = 64
	// maxPasses bounds how often a directory is read again while another process
	// makes files in it.
	maxPasses = 1000
)

// RemoveAll removes name in dir and everything below it, to any depth. It follows no
// link and enters no mount. If the mode of a directory shuts its owner, the caller,
// out, RemoveAll changes it. A missing name is no error.
func RemoveAll(dir *os.File, name string) error {
	err := RemoveAllFD(int(dir.Fd()), name, nil)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	var path *os.PathError
	if errors.As(err, &path) {
		path.Path = filepath.Join(dir.Name(), path.Path)
	}
	return err
}

// RemoveAllFD is [RemoveAll] with descriptors. It calls before, unless that is nil,
// before it removes each name; an error of before ends the removal. If the name is
// missing the error is unix.ENOENT.
func RemoveAllFD(dir int, name string, before func() error) error {
	if err := checkName(name); err != nil {
		return pathError("remove", name, err)
	}
	if before == nil {
		before = func() error { return nil }
	}
	r := remover{top: dir, before: before}
	return r.remove(dir, "", name, 0)
}

type remover struct {
	top    int // the directory to which directories that lie too deep are moved
	before func() error
}

// remove removes name in dir, depth directories below top; above is the path of dir
// below top, for errors.
func (r *remover) remove(dir int, above, name string, depth int) error {
	if err := r.before(); err != nil {
		return err
	}
	err := retry(func() error { return unix.Unlinkat(dir, name, 0) })
	if err == nil {
		return nil
	}
	// POSIX has EPERM for a directory, Linux EISDIR.
	if err != unix.EISDIR && err != unix.EPERM {
		return pathError("remove", filepath.Join(above, name), err)
	}
	if depth == maxOpenDepth {
		moved := "deep-" + rand.Text()
		if err := unix.Renameat(dir, name, r.top, moved); err != nil {
			return pathError("rename", filepath.Join(above, name), err)
		}
		return r.remove(r.top, "", moved, 0)
	}
	path := filepath.Join(above, name)
	sub, err := openToEmpty(dir, name)
	if err != nil {
		return pathError("open", path, err)
	}
	f := os.NewFile(uintptr(sub), path)
	return errors.Join(r.removeDir(f, dir, name, depth), f.Close())
}

// removeDir empties the open directory sub and removes it from dir. If rmdir(2) finds
// sub not empty, removeDir reads it again: a filesystem may skip names when others are
// removed between two reads.
func (r *remover) removeDir(sub *os.File, dir int, name string, depth int) error {
	for range maxPasses {
		removed, err := r.empty(sub, depth)
		if err != nil {
			return err
		}
		err = r.before()
		if err == nil {
			err = retry(func() error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
		}
		if err != unix.ENOTEMPTY && err != unix.EEXIST || removed == 0 {
			return pathError("rmdir", sub.Name(), err)
		}
		if _, err := sub.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	return pathError("rmdir", sub.Name(), unix.ENOTEMPTY)
}

// empty reads a directory once and removes the names that it finds.
func (r *remover) empty(sub *os.File, depth int) (removed int, err error) {
	for {
		names, err := sub.Readdirnames(1024)
		for _, child := range names {
			err := r.remove(int(sub.Fd()), sub.Name(), child, depth+1)
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return removed, err
			}
			removed++
		}
		if len(names) == 0 || err != nil {
			return removed, nil // io.EOF; after another error rmdir(2) fails
		}
	}
}

// openToEmpty opens the directory name. If the caller owns it, it gets a mode with
// which he can empty it. The mode is changed by a descriptor and not by the name,
// because another process may put a symbolic link there meanwhile.
func openToEmpty(dir int, name string) (int, error) {
	found, err := findFD(dir, name)
	if err != nil {
		return -1, err
	}
	defer unix.Close(found) //nolint:errcheck // O_PATH
	st, err := StatFD(found)
	if err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return -1, unix.EPERM // the error of unlink(2), for an immutable file for example
	}
	if st.Mode&0o700 != 0o700 && int(st.Uid) == os.Geteuid() {
		if err := ChmodFD(found, 0o700); err != nil {
			return -1, err
		}
	}
	return openat(found, ".", dirFlags, 0)
}

func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}
