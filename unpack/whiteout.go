// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// marks is the names of a store's own extended attributes.
type marks struct{ opaque, whiteout string }

func marksOf(o Options) marks {
	if o.Whiteouts == layer.JournalOnly {
		return marks{}
	}
	return marks{opaque: o.Xattr("opaque"), whiteout: o.Xattr("whiteout")}
}

// Values of the opaque mark.
const (
	opaqueYes       = "y" // nothing below is seen
	opaqueWhiteouts = "x" // there are whiteouts in the form of files (Linux 6.8)
)

// mark brings a whiteout or an opaque mark of the tar to disk.
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

// checkForm accepts empty regular files, and other things that are not
// directories with a note.
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

// whiteout hides what lower layers have at path. What the same layer has
// there stays, whichever of the two comes first.
func (u *unpacker) whiteout(path string) error {
	if u.states.Hidden(path) {
		// An opaque directory hides it already, and the kernel wants no
		// whiteout in one: its name would be listed.
		return nil
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

// whiteoutOver is a whiteout for a directory that the layer has made. One
// that is there for whiteouts only is no reason to keep it.
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
		return nil // the layer makes it, as another name of a lower file
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

// whiteoutFile makes the form for filesystems that take no device, as
// overlayfs itself. Each is a file of its own: one that all shared would soon
// have more names than the filesystem allows.
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

// isWhiteout is true for what addWhiteout made. Nothing else in the layer can
// look like it: the image's own devices 0/0 and overlay marks are dropped.
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

// makeOpaque hides all children that lower layers have in path.
func (u *unpacker) makeOpaque(path string) error {
	d, err := u.parent(path, forOpaque)
	if err != nil {
		return err
	}
	return u.setOpaque(d, layer.Marked)
}

// setOpaque marks a directory. Whiteouts that are in it already go at the
// end, when it is known of all directories which are opaque.
func (u *unpacker) setOpaque(d *layerdisk.Dir, why layer.Opaque) error {
	v := u.states.At(d.Path)
	if v.Opaque == layer.Replaced || v.Opaque == why {
		return nil
	}
	if d.Path != "." { // overlayfs ignores it there; the caller cuts the stack
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
