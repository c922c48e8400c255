// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// The extended attributes that hold POSIX ACLs.
const (
	AccessACL  = "system.posix_acl_access"
	DefaultACL = "system.posix_acl_default"
)

// Xattrs reads the extended attributes of f, which may be opened with O_PATH.
// Those for which keep is false are left out; nil keeps all. On a filesystem without
// extended attributes it returns none.
func Xattrs(f *os.File, keep func(name string) bool) (map[string]string, error) {
	fd := int(f.Fd())
	list, err := grow(func(b []byte) (int, error) {
		n, err := unix.Flistxattr(fd, b)
		if err == unix.EBADF { // O_PATH
			n, err = unix.Listxattr(procPath(fd), b)
		}
		return n, err
	})
	if err != nil && err != unix.ENOTSUP {
		return nil, &os.PathError{Op: "list extended attributes of", Path: f.Name(), Err: err}
	}
	var xattrs map[string]string
	for name := range strings.SplitSeq(string(list), "\x00") {
		if name == "" || keep != nil && !keep(name) {
			continue
		}
		value, err := GetXattrFD(fd, name)
		if err != nil {
			return nil, &os.PathError{Op: "read extended attribute " + name + " of", Path: f.Name(), Err: err}
		}
		if xattrs == nil {
			xattrs = map[string]string{}
		}
		xattrs[name] = value
	}
	return xattrs, nil
}

// GetXattrFD reads one extended attribute of fd, which may be opened with O_PATH. If
// the file does not have it the error is unix.ENODATA.
func GetXattrFD(fd int, name string) (string, error) {
	value, err := grow(func(b []byte) (int, error) {
		n, err := unix.Fgetxattr(fd, name, b)
		if err == unix.EBADF { // O_PATH
			n, err = unix.Getxattr(procPath(fd), name, b)
		}
		return n, err
	})
	return string(value), err
}

// HasXattrFD reports whether fd, which may be opened with O_PATH, has an extended
// attribute. On a filesystem without extended attributes it is false.
func HasXattrFD(fd int, name string) (bool, error) {
	_, err := unix.Fgetxattr(fd, name, nil)
	if err == unix.EBADF { // O_PATH
		_, err = unix.Getxattr(procPath(fd), name, nil)
	}
	if err == unix.ENODATA || err == unix.ENOTSUP {
		return false, nil
	}
	return err == nil, err
}

// SetXattrFD sets one extended attribute of fd, which may be opened with
// O_PATH.
func SetXattrFD(fd int, name, value string) error {
	err := retry(func() error { return unix.Fsetxattr(fd, name, []byte(value), 0) })
	if err == unix.EBADF { // O_PATH
		err = retry(func() error { return unix.Setxattr(procPath(fd), name, []byte(value), 0) })
	}
	return err
}

// RemoveACLs removes the ACLs that a new directory has inherited.
func RemoveACLs(dir *os.File) error {
	for _, name := range []string{AccessACL, DefaultACL} {
		err := retry(func() error { return unix.Fremovexattr(int(dir.Fd()), name) })
		if err != nil && err != unix.ENODATA && err != unix.EOPNOTSUPP {
			return &os.PathError{Op: "remove the ACL of", Path: dir.Name(), Err: err}
		}
	}
	return nil
}

// grow calls read with larger buffers until the answer fits; 64 KiB is the
// kernel's limit for a list and for a value.
func grow(read func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := read(buf)
		switch {
		case err == unix.EINTR:
			size /= 4
		case err == unix.ERANGE && size < 1<<17:
		case err != nil:
			return nil, err
		default:
			return buf[:n], nil
		}
	}
}
