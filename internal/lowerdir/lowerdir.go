// SPDX-License-Identifier: Apache-2.0

// Package lowerdir reads what a file of a lower dir says: its attributes, apart
// from the overlay's own marks, and what the marks mean.
package lowerdir

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/layer"
)

// Attributes reads the attributes of f, which may be opened with O_PATH: those
// that its layer gave it.
func Attributes(f *os.File) (fsat.Attributes, unix.Stat_t, error) {
	return fsat.ReadAttributes(f, func(name string) bool { return !isMark(name) && !IsLocal(name) })
}

// isMark says whether an extended attribute is the overlay's, and not a layer's.
func isMark(name string) bool {
	return strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.")
}

// IsLocal says whether an extended attribute is put on every file by the host's
// security policy, so that it says nothing of the layer.
func IsLocal(name string) bool {
	return name == "security.selinux" || name == "security.ima" || name == "security.evm"
}

// Equal compares all attributes but the time of access.
func Equal(a, b fsat.Attributes) bool {
	return a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID && a.Modified == b.Modified && maps.Equal(a.Xattrs, b.Xattrs)
}

// Plain are the attributes of a directory that no layer has an entry for.
func Plain() fsat.Attributes {
	return fsat.Attributes{Mode: 0o755, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Access: fsat.OmitTime()}
}

// SetAttributes gives f, an open file, directory or node, attributes of a file
// in a lower dir of the same form.
func SetAttributes(f *os.File, a fsat.Attributes, form layer.Form) error {
	a.KeepOwner, a.Access = form.IDs == layer.SquashedIDs, fsat.OmitTime()
	return fsat.SetAttributes(f, a, nil)
}

// IsOpaque reports whether the kernel takes the directory f for opaque.
func IsOpaque(f *os.File, form layer.Form) (bool, error) {
	value, err := fsat.GetXattrFD(int(f.Fd()), form.Xattr("opaque"))
	return err == nil && value == "y", unread(f, err)
}

// Type is the type of f, which may be opened with O_PATH.
func Type(f *os.File, st unix.Stat_t, form layer.Form) (layer.Type, error) {
	whiteout, err := IsWhiteout(f, st, form)
	if whiteout || err != nil {
		return layer.Whiteout, err
	}
	return typeOf(st), nil
}

func typeOf(st unix.Stat_t) layer.Type {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return layer.Regular
	case unix.S_IFDIR:
		return layer.Directory
	case unix.S_IFLNK:
		return layer.Symlink
	case unix.S_IFCHR:
		return layer.CharDevice
	case unix.S_IFBLK:
		return layer.BlockDevice
	}
	return layer.FIFO // no tar has sockets, so no layer does
}

// IsWhiteout recognises a whiteout in the form of a store.
func IsWhiteout(f *os.File, st unix.Stat_t, form layer.Form) (bool, error) {
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
		return true, nil
	}
	if form.Whiteouts != layer.XattrMarks || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != 0 {
		return false, nil
	}
	has, err := fsat.HasXattrFD(int(f.Fd()), form.Xattr("whiteout"))
	return err == nil && has, unread(f, err)
}

// unread is err where it says nothing of f. Any other error of reading a mark
// means that f has none.
func unread(f *os.File, err error) error {
	if !fsat.IsShortage(err) && !errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return &os.PathError{Op: "getxattr", Path: f.Name(), Err: err}
}
