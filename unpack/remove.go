// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"errors"
	"io"
	"os"

	"github.com/layerctl/layerctl/internal/tree"
	"golang.org/x/sys/unix"
)

// there is what stood at a name.
type there byte

const (
	nothingThere there = iota
	whiteoutThere
	directoryThere
	otherThere
)

// makeWay removes what stands at path, so that something new can be made
// there: a whiteout silently, anything else as a duplicate. A directory stays
// where keepDir is true.
func (u *unpacker) makeWay(parent *dir, base, path string, keepDir bool) (there, error) {
	st, err := lstat(parent.fd, base)
	if err == unix.ENOENT {
		return nothingThere, nil
	}
	if err != nil {
		return nothingThere, failed("stat", path, err)
	}
	gone, err := u.isWhiteout(parent.fd, base, &st)
	if err != nil {
		return nothingThere, failed("examine", path, err)
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case gone:
		return whiteoutThere, u.unlink(parent, base, path)
	case isDir && keepDir:
		return directoryThere, nil
	}
	if err := u.note(NoteDuplicate); err != nil {
		return nothingThere, err
	}
	if isDir {
		return directoryThere, u.removeTree(parent, base, path)
	}
	return otherThere, u.unlink(parent, base, path)
}

func (u *unpacker) unlink(parent *dir, base, path string) error {
	parent.dirty = true
	return failed("remove", path, u.disk.unlink(parent.fd, base, 0))
}

// removeTree removes a directory of this layer with all that is in it.
func (u *unpacker) removeTree(parent *dir, base, path string) error {
	if err := u.dirs.forget(path); err != nil {
		return err
	}
	parent.dirty = true
	if err := u.disk.removeAll(parent.fd, base); err != nil {
		return failed("remove", path, err)
	}
	return u.record(tree.Entry{Path: path, Type: tree.Removed})
}

// removeAll removes the directory name of dir. It goes by descriptors only,
// one for each level, of which the depth of a layer is bounded.
func (d disk) removeAll(dir int, name string) (err error) {
	fd, err := openDir(dir, name)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	for {
		// A filesystem may skip names when others are removed between two
		// reads: so it is read from the start until nothing is left.
		n, err := d.removeEntries(f)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		if n == 0 {
			break
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return d.unlink(dir, name, unix.AT_REMOVEDIR)
}

func (d disk) removeEntries(f *os.File) (n int, err error) {
	for {
		names, err := f.Readdirnames(256)
		for _, name := range names {
			if err := d.removeEntry(int(f.Fd()), name); err != nil {
				return n, err
			}
			n++
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func (d disk) removeEntry(dir int, name string) error {
	err := d.unlink(dir, name, 0)
	if err == unix.EISDIR || err == unix.EPERM {
		return d.removeAll(dir, name)
	}
	return err
}
