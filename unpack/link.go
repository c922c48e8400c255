// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"errors"
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// symlink makes a symlink. Its target is kept as it is, wherever it leads, for
// nothing here follows it.
func (u *unpacker) symlink(path string, e layer.Entry) error {
	target := u.h.Linkname
	if len(target) == 0 || len(target) > entryname.MaxPath || strings.IndexByte(target, 0) >= 0 {
		return u.malformed("a symlink target of %d bytes, outside 1 to %d, or with a NUL", len(target), entryname.MaxPath)
	}
	above, base := entryname.Split(path)
	parent, err := u.parent(above, forEntry)
	if err != nil {
		return err
	}
	e.Path, e.Type, e.Linkname, e.Mode = entryname.Join(parent.Path, base), layer.Symlink, target, 0o777
	err = u.place(parent, base, e.Path, func() error { return u.disk.Symlink(target, parent.FD, base) })
	if err != nil {
		return failed("make symlink", e.Path, err)
	}
	if err := u.setNode(parent, base, e); err != nil {
		return err
	}
	return u.record(e)
}

// place makes something by call. Where that fails with EEXIST it removes what has the
// name, and calls again.
func (u *unpacker) place(parent *layerdisk.Dir, base, path string, call func() error) error {
	parent.Dirty = true
	if _, err := u.dropLink(path); err != nil {
		return err
	}
	err := call()
	if err == unix.EEXIST {
		if _, err := u.makeWay(parent, base, path, false); err != nil {
			return err
		}
		err = call()
	}
	return err
}

// setNode sets owner, mode and time of a file that must not be opened.
func (u *unpacker) setNode(parent *layerdisk.Dir, base string, e layer.Entry) error {
	if !u.o.IDs.Squashed() {
		if err := u.disk.Lchown(parent.FD, base, e.UID, e.GID); err != nil {
			return u.ownerFault(e, e.Path, err)
		}
	}
	if e.Type != layer.Symlink {
		if err := u.disk.ChmodNode(parent.FD, base, e.Mode); err != nil {
			return failed("chmod", e.Path, err)
		}
	}
	return failed("set times of", e.Path, u.disk.SetTimesAt(parent.FD, base, layerdisk.Timespec(e.ModTime)))
}

// hardlink gives a file of this layer another name, or notes a foreign link. The mode
// and the owner in the link's entry do not count: those of the file's entry do.
func (u *unpacker) hardlink(path string) error {
	target, err := u.target(u.h.Linkname)
	var absent *absentError
	if err != nil && !errors.As(err, &absent) {
		return err
	}
	above, base := entryname.Split(path)
	parent, err := u.parent(above, forEntry)
	if err != nil {
		return err
	}
	path = entryname.Join(parent.Path, base)
	if absent != nil && u.skipped[absent.path] {
		return errors.Join(u.skipDevice(), u.noteSkipped(path))
	}
	if absent != nil && layerdisk.IsBelow(absent.path, linkStore) {
		return u.malformed("a hardlink to %s, which is not in this layer", entryname.Quote(absent.path))
	}
	if absent != nil {
		return u.foreignLink(parent, base, path, absent.path)
	}
	if target == path || layerdisk.IsBelow(target, path) {
		return u.malformed("a hardlink to itself")
	}
	oldDir, oldBase := entryname.Split(target)
	from, err := u.dirs.Open(oldDir)
	if err != nil {
		return failed("open directory", oldDir, err)
	}
	err = u.place(parent, base, path, func() error { return u.disk.Link(from.FD, oldBase, parent.FD, base) })
	if err == unix.EMLINK {
		return fmt.Errorf("link %s to %s: more names than the filesystem gives one file: %w", entryname.Quote(path), entryname.Quote(target), err)
	}
	if err != nil {
		return failed("link", path, err)
	}
	return u.record(layer.Entry{Path: path, Type: layer.Hardlink, Linkname: target})
}

// target returns the path of the file that a hardlink names; the error is an
// absentError where this layer does not have it.
func (u *unpacker) target(name string) (string, error) {
	name = strings.TrimRight(name, "/")
	above, base := entryname.Split(name)
	if base == "" || base == "." || base == ".." {
		return "", u.malformed("a hardlink to a directory")
	}
	if strings.HasPrefix(base, layer.WhiteoutPrefix) || strings.IndexByte(name, 0) >= 0 || len(name) > entryname.MaxPath || len(base) > entryname.MaxName {
		return "", u.malformed("a hardlink to %s, which is no name in a layer", entryname.Quote(name))
	}
	find := u.walk
	if entryname.IsClean(name) {
		find = u.parent
	}
	d, err := find(above, forTarget)
	var absent *absentError
	switch {
	case errors.As(err, &absent):
		return "", &absentError{entryname.Join(absent.path, base)}
	case err == errGone:
		return "", u.malformed("a hardlink to %s, which this layer deletes", entryname.Quote(name))
	case err != nil:
		return "", err
	}
	path := entryname.Join(d.Path, base)
	st, err := u.disk.Lstat(d.FD, base)
	switch {
	case err == unix.ENOENT:
		return "", &absentError{path}
	case err != nil:
		return "", failed("stat", path, err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return "", u.malformed("a hardlink to a directory")
	}
	gone, err := u.isWhiteout(d.FD, base, &st)
	if gone {
		err = u.malformed("a hardlink to %s, which this layer deletes", entryname.Quote(path))
	}
	return path, err
}

// foreignLink notes a hardlink whose target only a lower layer can have.
func (u *unpacker) foreignLink(parent *layerdisk.Dir, base, path, target string) error {
	if path == target {
		return u.malformed("a hardlink to itself")
	}
	if u.states.Hidden(target) {
		return u.malformed("a hardlink to %s, which this layer hides", entryname.Quote(target))
	}
	if first, chained := u.links[target]; chained {
		target = first
	}
	if _, err := u.dropLink(path); err != nil {
		return err
	}
	was, err := u.makeWay(parent, base, path, false)
	if err != nil {
		return err
	}
	if was == aFile || was == aWhiteout {
		if err := u.record(layer.Entry{Path: path, Type: layer.Removed}); err != nil {
			return err
		}
	}
	if err := u.meter.keep(path, len(target)); err != nil {
		return err
	}
	u.links[path] = target
	return nil
}

// dropLink forgets the foreign hardlink at path, which another entry replaces.
func (u *unpacker) dropLink(path string) (was bool, err error) {
	if len(u.links) == 0 {
		return false, nil
	}
	if _, was = u.links[path]; !was {
		return false, nil
	}
	delete(u.links, path)
	return true, u.note(layer.NoteDuplicate)
}
