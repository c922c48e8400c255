// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"maps"
	"slices"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// finish does what only the whole layer tells: which whiteouts hide nothing
// that an opaque directory does not hide, which hardlinks lead to a lower
// layer, and what had to wait for the directories to be full.
func (u *unpacker) finish() error {
	if err := u.dropStore(); err != nil {
		return err
	}
	if err := u.hideLinks(); err != nil {
		return err
	}
	paths := slices.Sorted(maps.Keys(u.states.ByPath))
	for _, step := range []func([]string) error{u.purge, u.removeBare, u.listImplied, u.listLinks, u.setLate} {
		if err := step(paths); err != nil {
			return err
		}
	}
	u.result.RootOpaque = u.states.At(".").Opaque != layer.Transparent
	u.result.Notes = u.notes.list
	return u.dirs.CloseAll()
}

// hideLinks puts a whiteout where a foreign hardlink belongs. The file itself
// will stand in a fix layer, and hide what lower layers have at its name; but
// where a higher layer makes a directory of that name, only something on disk
// here keeps the kernel from merging it with a lower one.
func (u *unpacker) hideLinks() error {
	for _, path := range slices.Sorted(maps.Keys(u.links)) {
		if u.states.Hidden(path) {
			continue
		}
		above, base := entryname.Split(path)
		d, err := u.openKnown(above)
		if err != nil {
			return err
		}
		if d == nil {
			continue // its directory was replaced
		}
		if err := u.placeWhiteout(d, base, path); err != nil {
			return err
		}
	}
	return nil
}

// openKnown opens a directory; nil where it was removed.
func (u *unpacker) openKnown(path string) (*layerdisk.Dir, error) {
	d, err := u.dirs.Open(path)
	switch err {
	case nil:
		return d, nil
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		return nil, nil
	}
	return nil, failed("open directory", path, err)
}

// purge removes whiteouts from all that an opaque directory hides, itself
// included, and lists the directories that keep some.
func (u *unpacker) purge(paths []string) error {
	for _, path := range paths {
		v := u.states.At(path)
		if !v.Marked {
			continue
		}
		d, err := u.openKnown(path)
		if err != nil {
			return err
		}
		if d == nil {
			continue
		}
		useless := v.Opaque != layer.Transparent || u.states.Hidden(path)
		found, err := u.eachWhiteout(d, useless)
		if err != nil {
			return err
		}
		if found && !useless {
			u.result.WhiteoutParents = append(u.result.WhiteoutParents, layer.Path(path))
		}
	}
	return nil
}

// eachWhiteout finds the whiteouts of one directory; it removes all of them,
// or stops at the first.
func (u *unpacker) eachWhiteout(d *layerdisk.Dir, remove bool) (found bool, err error) {
	for name, err := range u.disk.Names(d.FD) {
		if err != nil {
			return found, failed("read directory", d.Path, err)
		}
		st, err := u.disk.Lstat(d.FD, name)
		if err != nil {
			return found, failed("stat", entryname.Join(d.Path, name), err)
		}
		gone, err := u.isWhiteout(d.FD, name, &st)
		if err != nil {
			return found, failed("examine", entryname.Join(d.Path, name), err)
		}
		if !gone {
			continue
		}
		found = true
		if !remove {
			return found, nil
		}
		if err := u.removeWhiteout(d, name); err != nil {
			return found, err
		}
	}
	return found, nil
}

func (u *unpacker) removeWhiteout(d *layerdisk.Dir, name string) error {
	path := entryname.Join(d.Path, name)
	if err := u.unlink(d, name, path); err != nil {
		return err
	}
	return u.record(layer.Entry{Path: path, Type: layer.Removed})
}

// removeBare removes, deepest first, the directories that were made for
// whiteouts which an opaque directory has made useless.
func (u *unpacker) removeBare(paths []string) error {
	for _, path := range slices.Backward(paths) {
		if !u.states.At(path).Bare || !u.states.Hidden(path) {
			continue
		}
		d, err := u.openKnown(path)
		if err != nil {
			return err
		}
		if d == nil {
			continue
		}
		above, base := entryname.Split(path)
		parent, err := u.dirs.Open(above)
		if err != nil {
			return failed("open directory", above, err)
		}
		if err := u.removeTree(parent, base, path); err != nil {
			return err
		}
	}
	return nil
}

// setLate sets what would have been in the way: default ACLs, and modes that
// keep their owner out, deepest first. After it nothing can be looked up.
func (u *unpacker) setLate(paths []string) error {
	for _, path := range slices.Backward(paths) {
		v := u.states.At(path)
		if v.ACL == "" && !v.Late {
			continue
		}
		d, err := u.openKnown(path)
		if err != nil {
			return err
		}
		if d == nil {
			continue
		}
		if v.ACL != "" {
			// That the filesystem takes ACLs is known from the root.
			if _, err := u.setXattr(d.FD, defaultACL, v.ACL, path); err != nil {
				return err
			}
		}
		if v.Late {
			if err := u.disk.Chmod(d.FD, v.Mode); err != nil {
				return failed("chmod", path, err)
			}
		}
	}
	return nil
}

// listImplied fills in the implied directories that are still there.
func (u *unpacker) listImplied(paths []string) error {
	for _, path := range paths {
		v := u.states.At(path)
		if !v.Implied {
			continue
		}
		d, err := u.openKnown(path)
		if err != nil {
			return err
		}
		if d != nil {
			u.result.Implied = append(u.result.Implied, layer.ImpliedDir{Path: layer.Path(path), Opaque: v.Opaque, Bare: v.Bare})
		}
	}
	return nil
}

// listLinks fills in the hardlinks that lead out of the layer. One whose target
// was made, deleted or hidden after it means the lower layer's file, which had
// the name when the link was made.
func (u *unpacker) listLinks([]string) error {
	for _, path := range slices.Sorted(maps.Keys(u.links)) {
		above, _ := entryname.Split(path)
		if d, err := u.openKnown(above); err != nil {
			return err
		} else if d == nil {
			continue // its directory was replaced
		}
		target := u.links[path]
		early, err := u.touched(target)
		if early && err == nil {
			err = u.notes.add(layer.NoteLinkEarly, path)
		}
		if err != nil {
			return err
		}
		u.result.ForeignLinks = append(u.result.ForeignLinks, layer.ForeignLink{Path: layer.Path(path), Target: layer.Path(target)})
	}
	return nil
}

// touched says that the layer has come to have, delete or hide something at the
// path of a lower layer's file, or where its directory was.
func (u *unpacker) touched(path string) (bool, error) {
	if u.states.Hidden(path) {
		return true, nil
	}
	above, base := entryname.Split(path)
	d, err := u.openKnown(above)
	if err != nil {
		return false, err
	}
	if d == nil {
		return u.touched(above)
	}
	if _, err = u.disk.Lstat(d.FD, base); err == unix.ENOENT {
		return false, nil
	}
	return true, failed("stat", path, err)
}
