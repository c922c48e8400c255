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

// finish does what needs the whole layer: it removes whiteouts that an opaque
// directory makes useless, lists the hardlinks into lower layers, and sets the
// attributes that had to wait until the directories were full.
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

// hideLinks puts a whiteout at the path of each foreign hardlink. A fix layer will
// have the file itself, which hides what lower layers have at that path. But where a
// higher layer has a directory there, only the whiteout keeps the kernel from
// merging it with a directory of a lower layer.
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

// purge removes the whiteouts in opaque directories and below them, and lists the
// directories that keep whiteouts.
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

// eachWhiteout reports whether a directory has whiteouts; with remove it removes
// them all.
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

// setLate sets what would have hindered the unpacking: default ACLs, and modes that
// keep the owner out, deepest first. Afterwards nothing can be looked up.
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
			// prepareRoot has found out whether the filesystem has ACLs.
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

// listImplied lists the implied directories that were not replaced or removed.
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

// listLinks lists the hardlinks whose target is not in this layer. A target that the
// layer makes, deletes or hides after the link still means the lower layer's file,
// which had the name when the link was made.
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

// touched reports whether the layer has, deletes or hides something at path or, where
// path's directory is not there, at the path of that.
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
