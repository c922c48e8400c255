// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"errors"
	"fmt"
	"time"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack/internal/dirstate"
	"golang.org/x/sys/unix"
)

// prepareRoot makes the root an implied directory, which it is until it has an
// entry, or restores a checkpoint.
func (u *unpacker) prepareRoot() error {
	root := u.dirs.Root
	// It may have inherited a default ACL, which is none of the image's.
	switch err := u.disk.Removexattr(root.FD, defaultACL); err {
	case nil, unix.ENODATA:
	case unix.EOPNOTSUPP:
		u.noACL = true
	default:
		return failed("remove the default ACL of", ".", err)
	}
	if u.from != nil && u.copy == nil { // a tar is read from its start again
		return u.restore()
	}
	return u.imply(root, dirstate.State{Implied: true})
}

// imply gives a new directory the attributes of one without an entry. They are
// always the same, so that a layer's directory is the same on every machine.
func (u *unpacker) imply(d *layerdisk.Dir, v dirstate.State) error {
	e := layer.Entry{Path: d.Path, Type: layer.Directory, Mode: 0o755, ModTime: time.Unix(0, 0), Implied: true, Opaque: v.Opaque}
	if err := u.states.Put(d.Path, v); err != nil {
		return err
	}
	if err := u.setDirectory(d, e); err != nil {
		return err
	}
	return u.record(e)
}

// directory makes or completes a directory that has an entry.
func (u *unpacker) directory(path string, e layer.Entry) error {
	e.Type = layer.Directory
	if path == "." {
		return u.completeDirectory(u.dirs.Root, e)
	}
	above, base := entryname.Split(path)
	parent, err := u.parent(above, forEntry)
	if err != nil {
		return err
	}
	e.Path = entryname.Join(parent.Path, base)
	d, v, err := u.makeDirectory(parent, base, e.Path)
	if errors.Is(err, unix.EEXIST) {
		d, err := u.dirs.Open(e.Path)
		if err != nil {
			return failed("open directory", e.Path, err)
		}
		return u.completeDirectory(d, e)
	}
	if err != nil {
		return err
	}
	if err := u.states.Put(e.Path, v); err != nil {
		return err
	}
	return u.applyDirectory(d, e)
}

// makeDirectory makes a directory and holds it open. Something else of that name is
// removed first, and then the new directory is opaque: had the layers been applied
// one by one, nothing of a lower directory would be left. The error is EEXIST
// where there is a directory of that name.
func (u *unpacker) makeDirectory(parent *layerdisk.Dir, base, path string) (*layerdisk.Dir, dirstate.State, error) {
	var v dirstate.State
	parent.Dirty = true
	err := u.disk.Mkdir(parent.FD, base)
	if err == unix.EEXIST {
		was, werr := u.makeWay(parent, base, path, true)
		if werr != nil {
			return nil, v, werr
		}
		if was == aDirectory {
			return nil, v, unix.EEXIST
		}
		v.Opaque = layer.Replaced
		err = u.disk.Mkdir(parent.FD, base)
	}
	if err != nil {
		return nil, v, failed("make directory", path, err)
	}
	linked, err := u.dropLink(path)
	if err != nil {
		return nil, v, err
	}
	if linked {
		v.Opaque = layer.Replaced
	}
	fd, err := u.disk.OpenDir(parent.FD, base)
	if err != nil {
		return nil, v, failed("open directory", path, err)
	}
	d, err := u.dirs.Hold(&layerdisk.Dir{Path: path, FD: fd})
	if err == nil && v.Opaque != layer.Transparent {
		err = u.markOpaque(fd, path)
	}
	return d, v, err
}

// completeDirectory gives an existing directory the attributes of its entry, which
// comes later than entries of what lies in it.
func (u *unpacker) completeDirectory(d *layerdisk.Dir, e layer.Entry) error {
	v := u.states.At(d.Path)
	if !v.Implied {
		if err := u.note(layer.NoteDuplicate); err != nil {
			return err
		}
		if err := u.stripXattrs(d); err != nil {
			return err
		}
	}
	v = dirstate.State{Marked: v.Marked, Opaque: v.Opaque}
	if err := u.states.Put(d.Path, v); err != nil {
		return err
	}
	e.Path = d.Path
	return u.applyDirectory(d, e)
}

// applyDirectory sets the attributes that can be set now, and keeps those that must
// wait until the directory is full.
func (u *unpacker) applyDirectory(d *layerdisk.Dir, e layer.Entry) error {
	v := u.states.At(d.Path)
	e.Opaque = v.Opaque
	v.ACL = e.Xattrs[defaultACL]
	now := e
	if journalOnly := u.o.Whiteouts == layer.JournalOnly; (journalOnly || u.caller.uid != 0) && e.Mode&0o700 != 0o700 {
		// Only root may write into a directory against its mode.
		v.Late, v.Mode = !journalOnly, e.Mode
		now.Mode |= 0o700
	}
	if err := u.states.Put(d.Path, v); err != nil {
		return err
	}
	if err := u.setDirectory(d, now); err != nil {
		return err
	}
	if err := u.readBackACL(d.FD, e, e.Mode, d.Path); err != nil {
		return err
	}
	return u.record(e)
}

// setDirectory sets owner, extended attributes and mode; the time is set when
// the directory is closed.
func (u *unpacker) setDirectory(d *layerdisk.Dir, e layer.Entry) error {
	if err := u.chown(d.FD, e, d.Path); err != nil {
		return err
	}
	if err := u.setXattrs(d.FD, e, d.Path); err != nil {
		return err
	}
	if err := u.disk.Chmod(d.FD, e.Mode); err != nil {
		return failed("chmod", d.Path, err)
	}
	d.ModTime, d.Dirty = layerdisk.Timespec(e.ModTime), true
	if !u.o.IDs.Squashed() {
		d.GID = e.GID
	}
	return nil
}

// chown gives a new file its owner.
func (u *unpacker) chown(fd int, e layer.Entry, path string) error {
	if u.o.IDs.Squashed() {
		return nil
	}
	return u.ownerFault(e, path, u.disk.Chown(fd, e.UID, e.GID))
}

// ownerFault explains the error of chown(2) for ids without a mapping.
func (u *unpacker) ownerFault(e layer.Entry, path string, err error) error {
	if err == unix.EINVAL {
		err = fmt.Errorf("owner %d:%d is not mapped in this user namespace: %w", e.UID, e.GID, err)
	}
	return failed("chown", path, err)
}
