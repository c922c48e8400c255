// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// occupant is what stood at a name.
type occupant byte

const (
	nothing occupant = iota
	aWhiteout
	aDirectory
	aFile
)

// makeWay removes what stands at path, so that something new can be made there. It
// notes anything but a whiteout as a duplicate. With keepDir it keeps a directory.
func (u *unpacker) makeWay(parent *layerdisk.Dir, base, path string, keepDir bool) (occupant, error) {
	st, err := u.disk.Lstat(parent.FD, base)
	if err == unix.ENOENT {
		return nothing, nil
	}
	if err != nil {
		return nothing, failed("stat", path, err)
	}
	gone, err := u.isWhiteout(parent.FD, base, &st)
	if err != nil {
		return nothing, failed("examine", path, err)
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case gone:
		return aWhiteout, u.unlink(parent, base, path)
	case isDir && keepDir:
		return aDirectory, nil
	}
	if err := u.note(layer.NoteDuplicate); err != nil {
		return nothing, err
	}
	if isDir {
		return aDirectory, u.removeTree(parent, base, path)
	}
	return aFile, u.unlink(parent, base, path)
}

func (u *unpacker) unlink(parent *layerdisk.Dir, base, path string) error {
	parent.Dirty = true
	return failed("remove", path, u.disk.Unlink(parent.FD, base, 0))
}

// removeTree removes a directory of this layer with all that is in it.
func (u *unpacker) removeTree(parent *layerdisk.Dir, base, path string) error {
	if err := u.dirs.Forget(path); err != nil {
		return err
	}
	parent.Dirty = true
	if err := u.disk.RemoveAll(parent.FD, base); err != nil {
		return failed("remove", path, err)
	}
	return u.record(layer.Entry{Path: path, Type: layer.Removed})
}
