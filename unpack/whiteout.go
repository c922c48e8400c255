// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// marks are the names of the overlay marks; empty with layer.JournalOnly.
type marks struct{ opaque, whiteout string }

func marksOf(o Options) marks {
	if o.Whiteouts == layer.JournalOnly {
		return marks{}
	}
	return marks{opaque: o.Xattr("opaque"), whiteout: o.Xattr("whiteout")}
}

// Values of the opaque mark.
const (
	opaqueYes       = "y" // the directory hides what lower layers have in it
	opaqueWhiteouts = "x" // the directory has whiteouts in the form of files (Linux 6.8)
)

// mark applies a whiteout or an opaque mark of the tar.
func (u *unpacker) mark(path string, k entryname.Kind) error {
	if err := u.checkForm(); err != nil {
		return err
	}
	var err error
	if k == entryname.Opaque {
		err = u.makeOpaque(path)
	} else {
		err = u.whiteout(path)
	}
	switch err {
	case errGone:
		return nil
	case errBelowNondir:
		return u.note(layer.NoteWhiteoutBelow)
	}
	return err
}

// checkForm accepts an empty regular file as a whiteout, and with a note other
// regular files and links.
func (u *unpacker) checkForm() error {
	switch u.h.Type {
	case layertar.Regular:
		if u.h.Size == 0 {
			return nil
		}
		return u.note(layer.NoteWhiteoutForm)
	case layertar.Hardlink, layertar.Symlink:
		return u.note(layer.NoteWhiteoutForm)
	case layertar.Directory:
		return u.malformed("a directory name that begins with .wh.")
	}
	return u.malformed("a whiteout of type %q", u.h.Type)
}

// whiteout hides what lower layers have at path. What this layer has there stays,
// whichever of the two entries comes first.
func (u *unpacker) whiteout(path string) error {
	if u.states.Hidden(path) {
		return nil // an opaque directory hides it already, and the kernel would list the whiteout
	}
	above, base := entryname.Split(path)
	parent, err := u.parent(above, forWhiteout)
	if err != nil {
		return err
	}
	st, err := u.disk.Lstat(parent.FD, base)
	switch {
	case err == unix.ENOENT:
		return u.addWhiteout(parent, base, path)
	case err != nil:
		return failed("stat", path, err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return u.whiteoutOver(parent, base, path)
	}
	return nil // a whiteout already, or a new file, which hides by itself
}

// whiteoutOver applies a whiteout at the path of a directory of this layer: the
// directory becomes opaque, unless it is there for whiteouts only.
func (u *unpacker) whiteoutOver(parent *layerdisk.Dir, base, path string) error {
	if u.states.At(path).Bare {
		if err := u.removeTree(parent, base, path); err != nil {
			return err
		}
		return u.addWhiteout(parent, base, path)
	}
	d, err := u.dirs.Open(path)
	if err != nil {
		return failed("open directory", path, err)
	}
	return u.setOpaque(d, layer.Replaced)
}

func (u *unpacker) addWhiteout(parent *layerdisk.Dir, base, path string) error {
	if _, linked := u.links[path]; linked {
		return nil // the layer has a foreign hardlink there
	}
	return u.placeWhiteout(parent, base, path)
}

func (u *unpacker) placeWhiteout(parent *layerdisk.Dir, base, path string) error {
	v := u.states.At(parent.Path)
	if !v.Marked {
		v.Marked = true
		if err := u.states.Put(parent.Path, v); err != nil {
			return err
		}
	}
	parent.Dirty = true
	var err error
	switch u.o.Whiteouts {
	case layer.CharDevices:
		err = u.disk.Mknod(parent.FD, base, unix.S_IFCHR, 0)
	case layer.JournalOnly:
		err = u.disk.Mknod(parent.FD, base, unix.S_IFSOCK, 0)
	default:
		err = u.whiteoutFile(parent, base)
	}
	if err != nil {
		return failed("make whiteout", path, err)
	}
	return u.record(layer.Entry{Path: path, Type: layer.Whiteout})
}

// whiteoutFile makes a whiteout as a file, for filesystems that take no device 0/0,
// such as overlayfs itself. Each whiteout is a file of its own: one file would soon
// have more links than the filesystem allows.
func (u *unpacker) whiteoutFile(parent *layerdisk.Dir, base string) (err error) {
	if err := u.disk.Setxattr(parent.FD, u.marks.opaque, opaqueWhiteouts); err != nil {
		return err
	}
	fd, err := u.disk.Create(parent.FD, base)
	if err != nil {
		return err
	}
	err = u.disk.Setxattr(fd, u.marks.whiteout, "")
	if cerr := u.disk.Close(fd); err == nil {
		err = cerr
	}
	return err
}

// isWhiteout reports whether a file is what placeWhiteout makes. Nothing else in the
// layer looks like that: the image's own devices 0/0 and overlay marks are dropped.
func (u *unpacker) isWhiteout(dir int, name string, st *unix.Stat_t) (bool, error) {
	switch u.o.Whiteouts {
	case layer.CharDevices:
		return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0, nil
	case layer.JournalOnly:
		return st.Mode&unix.S_IFMT == unix.S_IFSOCK, nil
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != 0 {
		return false, nil
	}
	return u.disk.HasXattr(dir, name, u.marks.whiteout)
}

func (u *unpacker) markOpaque(fd int, path string) error {
	if u.marks.opaque == "" {
		return nil
	}
	return failed("mark", path, u.disk.Setxattr(fd, u.marks.opaque, opaqueYes))
}

// makeOpaque hides all that lower layers have in the directory at path.
func (u *unpacker) makeOpaque(path string) error {
	d, err := u.parent(path, forOpaque)
	if err != nil {
		return err
	}
	return u.setOpaque(d, layer.Marked)
}

// setOpaque marks a directory opaque. Whiteouts in it are removed at the end, when
// all opaque directories are known.
func (u *unpacker) setOpaque(d *layerdisk.Dir, why layer.Opaque) error {
	v := u.states.At(d.Path)
	if v.Opaque == layer.Replaced || v.Opaque == why {
		return nil
	}
	if d.Path != "." { // overlayfs ignores a mark on the root; the caller cuts the stack
		if err := u.markOpaque(d.FD, d.Path); err != nil {
			return err
		}
	}
	v.Opaque = why
	if err := u.states.Put(d.Path, v); err != nil {
		return err
	}
	return u.record(layer.Entry{Path: d.Path, Type: layer.OpaqueMark, Opaque: why})
}
