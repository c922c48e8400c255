// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"maps"
	"os"
	"strings"

	"github.com/layerctl/layerctl/internal/ondisk"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// attributesOf are a path's attributes on disk.
type attributesOf struct {
	mode     uint32 // 07777
	uid, gid uint32
	mtime    unix.Timespec
	xattrs   map[string]string
}

func (a attributesOf) equal(b attributesOf) bool {
	return a.mode == b.mode && a.uid == b.uid && a.gid == b.gid &&
		a.mtime == b.mtime && maps.Equal(a.xattrs, b.xattrs)
}

// readAttributes reads those of f, which may be opened with O_PATH, without
// the overlay's own marks.
func readAttributes(f *os.File) (attributesOf, unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return attributesOf{}, st, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	xattrs, err := readXattrs(f)
	a := attributesOf{mode: st.Mode & 0o7777, uid: st.Uid, gid: st.Gid, mtime: st.Mtim, xattrs: xattrs}
	return a, st, err
}

// plainAttributes are those of a directory of which no layer says any.
func plainAttributes() attributesOf {
	return attributesOf{mode: 0o755, uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
}

// apply sets the attributes on f, an open directory or file. The time is last:
// what is made in a directory afterwards changes it.
func (a attributesOf) apply(f *os.File, ids layer.IDs) error {
	if ids != layer.SquashedIDs {
		if err := unix.Fchown(int(f.Fd()), int(a.uid), int(a.gid)); err != nil {
			return &os.PathError{Op: "chown", Path: f.Name(), Err: err}
		}
	}
	if err := unix.Fchmod(int(f.Fd()), a.mode); err != nil {
		return &os.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	for name, value := range a.xattrs {
		if err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0); err != nil {
			return &os.PathError{Op: "set xattr " + name + " of", Path: f.Name(), Err: err}
		}
	}
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, a.mtime}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, ondisk.ProcPath(f), ts, 0); err != nil {
		return &os.PathError{Op: "set time of", Path: f.Name(), Err: err}
	}
	return nil
}

// isMark says whether an attribute is the overlay's, and not a layer's.
func isMark(name string) bool {
	return strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.")
}

// isLocal says whether an attribute is put on every file by the host's
// security policy, so that it says nothing of the layer.
func isLocal(name string) bool {
	return name == "security.selinux" || name == "security.ima" || name == "security.evm"
}

// readXattrs reads the extended attributes of f, which may be opened with
// O_PATH, but for marks and local ones.
func readXattrs(f *os.File) (map[string]string, error) {
	// fgetxattr refuses O_PATH; the link in /proc leads to the very file, also
	// to a symbolic link.
	path := ondisk.ProcPath(f)
	list, err := growing(func(b []byte) (int, error) { return unix.Listxattr(path, b) })
	if err != nil && err != unix.ENOTSUP {
		return nil, &os.PathError{Op: "list xattrs of", Path: f.Name(), Err: err}
	}
	var xattrs map[string]string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if name == "" || isMark(name) || isLocal(name) {
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

func hasMark(f *os.File, name, value string) bool {
	buf := make([]byte, 16)
	n, err := unix.Getxattr(ondisk.ProcPath(f), name, buf)
	return err == nil && string(buf[:n]) == value
}

// isWhiteout recognises a whiteout in the store's form.
func isWhiteout(f *os.File, st unix.Stat_t, form Format) bool {
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
		return true
	}
	if form.Whiteouts != layer.XattrMarks || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != 0 {
		return false
	}
	_, err := unix.Getxattr(ondisk.ProcPath(f), form.Xattr("whiteout"), nil)
	return err == nil
}
