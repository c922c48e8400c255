// SPDX-License-Identifier: Apache-2.0

package ondisk

import (
	"maps"
	"os"
	"strings"

	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// Attributes are a path's attributes on disk.
type Attributes struct {
	Mode     uint32 // 07777
	UID, GID uint32
	Modified unix.Timespec
	Xattrs   map[string]string
}

// Equal compares all of them.
func (a Attributes) Equal(b Attributes) bool {
	return a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID &&
		a.Modified == b.Modified && maps.Equal(a.Xattrs, b.Xattrs)
}

// ReadAttributes reads those of f, which may be opened with O_PATH, without
// the overlay's own marks.
func ReadAttributes(f *os.File) (Attributes, unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Attributes{}, st, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	xattrs, err := ReadXattrs(f)
	a := Attributes{Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, Modified: st.Mtim, Xattrs: xattrs}
	return a, st, err
}

// PlainAttributes are those of a directory of which no layer says any.
func PlainAttributes() Attributes {
	return Attributes{Mode: 0o755, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
}

// Apply sets the attributes on f, an open directory or file. The time is last:
// what is made in a directory afterwards changes it.
func (a Attributes) Apply(f *os.File, ids layer.IDs) error {
	if ids != layer.SquashedIDs {
		if err := unix.Fchown(int(f.Fd()), int(a.UID), int(a.GID)); err != nil {
			return &os.PathError{Op: "chown", Path: f.Name(), Err: err}
		}
	}
	if err := unix.Fchmod(int(f.Fd()), a.Mode); err != nil {
		return &os.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	for name, value := range a.Xattrs {
		if err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0); err != nil {
			return &os.PathError{Op: "set xattr " + name + " of", Path: f.Name(), Err: err}
		}
	}
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, a.Modified}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, ProcPath(f), ts, 0); err != nil {
		return &os.PathError{Op: "set time of", Path: f.Name(), Err: err}
	}
	return nil
}

// isMark says whether an attribute is the overlay's, and not a layer's.
func isMark(name string) bool {
	return strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.")
}

// IsLocal says whether an attribute is put on every file by the host's
// security policy, so that it says nothing of the layer.
func IsLocal(name string) bool {
	return name == "security.selinux" || name == "security.ima" || name == "security.evm"
}

// ReadXattrs reads the extended attributes of f, which may be opened with
// O_PATH, but for marks and local ones.
func ReadXattrs(f *os.File) (map[string]string, error) {
	// fgetxattr refuses O_PATH; the link in /proc leads to the very file, also
	// to a symbolic link.
	path := ProcPath(f)
	list, err := growing(func(b []byte) (int, error) { return unix.Listxattr(path, b) })
	if err != nil && err != unix.ENOTSUP {
		return nil, &os.PathError{Op: "list xattrs of", Path: f.Name(), Err: err}
	}
	var xattrs map[string]string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if name == "" || isMark(name) || IsLocal(name) {
			continue
		}
		value, err := growing(func(b []byte) (int, error) { return unix.Getxattr(path, name, b) })
		if err != nil {
			return nil, &os.PathError{Op: "get xattr " + name + " of", Path: f.Name(), Err: err}
		}
		if xattrs == nil {
			xattrs = map[string]string{}
		}
		xattrs[name] = string(value)
	}
	return xattrs, nil
}

// growing calls read with larger buffers until the answer fits; 64 KiB is the
// kernel's limit for a list and for a value.
func growing(read func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := read(buf)
		if err == unix.ERANGE && size < 1<<17 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}

// HasMark reports whether an attribute has the value.
func HasMark(f *os.File, name, value string) bool {
	buf := make([]byte, 16)
	n, err := unix.Getxattr(ProcPath(f), name, buf)
	return err == nil && string(buf[:n]) == value
}

// IsWhiteout recognises a whiteout in the store's form.
func IsWhiteout(f *os.File, st unix.Stat_t, form layer.Form) bool {
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
		return true
	}
	if form.Whiteouts != layer.XattrMarks || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != 0 {
		return false
	}
	_, err := unix.Getxattr(ProcPath(f), form.Xattr("whiteout"), nil)
	return err == nil
}
