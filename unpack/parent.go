// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"errors"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// purpose is what a directory is needed for.
type purpose byte

const (
	forEntry    purpose = iota // to make something in it
	forOpaque                  // to make it opaque
	forWhiteout                // to make a whiteout in it
	forTarget                  // to find what a hardlink names
)

var (
	// errBelowNondir: a mark lies below a symlink or a file, which already hides what
	// lower layers have there.
	errBelowNondir = errors.New("below no directory")
	// errGone: below a name that this layer deletes.
	errGone = errors.New("below a whiteout")
)

// absentError says that this layer has nothing at the path of a hardlink's target.
type absentError struct{ path string }

func (e *absentError) Error() string { return "not in this layer: " + entryname.Quote(e.path) }

// parent opens the directory at path, and makes what is missing of it. In nearly
// all cases the directory is open already or one system call opens it; only where
// that fails it walks the path name by name.
func (u *unpacker) parent(path string, p purpose) (*layerdisk.Dir, error) {
	d, err := u.dirs.Open(path)
	switch err {
	case nil:
		if p == forEntry || p == forOpaque {
			u.states.Real(path)
		}
		return d, nil
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		return u.walk(path, p)
	}
	return nil, failed("open directory", path, err)
}

// Bounds of one walk: the kernel's own on symlinks (MAXSYMLINKS), and one on the
// names in their targets.
const (
	maxLinks = 40
	maxSteps = 4096
)

// walk resolves a path in the layer as in a chroot: a symlink's target starts at the
// layer's root or at the symlink's directory, and ".." does not lead out.
type walk struct {
	u     *unpacker
	p     purpose
	at    string   // the path resolved so far, without symlinks
	names []string // still to resolve, the last one first
	links int      // symlinks followed
}

func (u *unpacker) walk(path string, p purpose) (*layerdisk.Dir, error) {
	w := walk{u: u, p: p, at: "."}
	w.push(path)
	for steps := 0; len(w.names) > 0; steps++ {
		name := w.names[len(w.names)-1]
		w.names = w.names[:len(w.names)-1]
		if steps > maxSteps {
			return nil, u.malformed("its parents lead through more than %d names", maxSteps)
		}
		if err := w.step(name); err != nil {
			return nil, err
		}
	}
	d, err := u.dirs.Open(w.at)
	if err == nil && (p == forEntry || p == forOpaque) {
		u.states.Real(w.at)
	}
	return d, failed("open directory", w.at, err)
}

// push puts the names of path before those that are still to be resolved.
func (w *walk) push(path string) {
	n := len(w.names)
	for part := range strings.SplitSeq(path, "/") {
		w.names = append(w.names, part)
	}
	for i, j := n, len(w.names)-1; i < j; i, j = i+1, j-1 {
		w.names[i], w.names[j] = w.names[j], w.names[i]
	}
}

func (w *walk) step(name string) error {
	switch name {
	case "", ".":
		return nil
	case "..":
		w.at, _ = entryname.Split(w.at)
		return nil
	}
	d, err := w.u.dirs.Open(w.at)
	if err != nil {
		return failed("open directory", w.at, err)
	}
	next := entryname.Join(w.at, name)
	st, err := w.u.disk.Lstat(d.FD, name)
	switch {
	case err == unix.ENOENT:
		return w.missing(d, name, next)
	case err == unix.ENAMETOOLONG:
		return w.u.malformed("its parents lead through a name of %d bytes", len(name))
	case err != nil:
		return failed("stat", next, err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		w.at = next
		return nil
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return w.follow(d, name)
	}
	gone, err := w.u.isWhiteout(d.FD, name, &st)
	if err != nil {
		return failed("examine", next, err)
	}
	return w.nondir(d, name, next, gone)
}

func (w *walk) follow(d *layerdisk.Dir, name string) error {
	if w.p == forWhiteout || w.p == forOpaque {
		return errBelowNondir
	}
	if w.links++; w.links > maxLinks {
		return w.u.malformed("its parents lead through more than %d symlinks", maxLinks)
	}
	target, err := w.u.disk.Readlink(d.FD, name)
	if err != nil {
		return failed("read symlink", entryname.Join(w.at, name), err)
	}
	if strings.HasPrefix(target, "/") {
		w.at = "."
	}
	w.push(target)
	return nil
}

// missing makes a directory that has no entry so far.
func (w *walk) missing(d *layerdisk.Dir, name, path string) error {
	u := w.u
	if w.p == forTarget {
		return w.missingTarget(path)
	}
	if err := u.checkImplied(name, path); err != nil {
		return err
	}
	made, v, err := u.makeDirectory(d, name, path)
	if err != nil {
		return err
	}
	w.at = path
	v.Implied, v.Bare = true, w.p == forWhiteout
	if !v.Bare {
		u.states.Real(d.Path)
	}
	return u.imply(made, v)
}

// missingTarget resolves the names below path, which this layer does not have, as
// they would be if it did. A ".." may lead back to what the layer has.
func (w *walk) missingTarget(path string) error {
	target := w.cleanBelow(path)
	if !slices.Contains(w.names, "..") {
		return &absentError{target}
	}
	w.at, w.names = ".", w.names[:0]
	w.push(target)
	return nil
}

// cleanBelow joins path, which is missing, with the names still to be resolved.
func (w *walk) cleanBelow(path string) string {
	for _, name := range slices.Backward(w.names) {
		switch name {
		case "", ".":
		case "..":
			path, _ = entryname.Split(path)
		default:
			path = entryname.Join(path, name)
		}
	}
	return path
}

// checkImplied checks the name of an implied directory, which may come from a
// symlink's target and then was not checked before.
func (u *unpacker) checkImplied(name, path string) error {
	switch {
	case strings.HasPrefix(name, layer.WhiteoutPrefix):
		return u.malformed("its parents lead through a name that begins with .wh.")
	case len(name) > entryname.MaxName || len(path) > entryname.MaxPath:
		return u.malformed("its parents lead through a path of %d bytes", len(path))
	}
	if err := u.meter.depth(path, u.h.Name); err != nil {
		return err
	}
	return u.meter.entry(u.h.Name)
}

// nondir handles a name that is neither a directory nor a symlink.
func (w *walk) nondir(d *layerdisk.Dir, name, path string, gone bool) error {
	switch {
	case w.p == forWhiteout && gone:
		return errGone
	case w.p == forWhiteout:
		return errBelowNondir
	case w.p == forTarget && gone:
		return errGone
	case gone: // deleted, and made again by what lies in it
		return w.missing(d, name, path)
	}
	return w.u.malformed("it lies below %s, which is no directory", entryname.Quote(path))
}
