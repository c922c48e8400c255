// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/internal/layerxattr"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

const (
	capability = layerxattr.Capability
	maxValue   = layerxattr.MaxValue
	accessACL  = layerdisk.AccessACL
	defaultACL = layerdisk.DefaultACL
)

// xattrs chooses among the extended attributes of the current entry.
func (u *unpacker) xattrs() (map[string]string, error) {
	h := u.h
	if h.Foreign {
		if err := u.note(layer.NoteXattrForeign); err != nil {
			return nil, err
		}
	}
	var kept map[string]string
	for _, x := range h.Xattrs {
		drop, err := u.judge(x)
		if err != nil {
			return nil, err
		}
		if drop != "" {
			if err := u.note(drop); err != nil {
				return nil, err
			}
			continue
		}
		if kept == nil {
			kept = make(map[string]string, len(h.Xattrs))
		}
		if x.Name == accessACL || x.Name == defaultACL {
			x.Value = layerdisk.CanonicalACL(x.Value)
		}
		kept[x.Name] = x.Value
	}
	return kept, nil
}

// judge returns the key of the note with which an attribute is dropped; "" keeps it.
func (u *unpacker) judge(x layertar.Xattr) (drop string, err error) {
	drop, malformed := layerxattr.Judge(x.Name, x.Value, layerxattr.On{
		Regular: u.h.Type == layertar.Regular, Directory: u.h.Type == layertar.Directory,
		Squashed: u.o.IDs == layer.SquashedIDs, NoACL: u.noACL,
	})
	if malformed != "" {
		return "", u.malformed("%s", malformed)
	}
	return drop, nil
}

// setXattrs sets the extended attributes of e, and removes from e those that cannot
// be set here. A default ACL must wait for the end, for files made in the directory
// would inherit it.
func (u *unpacker) setXattrs(fd int, e layer.Entry, path string) error {
	for name, value := range e.Xattrs {
		if name == defaultACL {
			continue
		}
		drop, err := u.setXattr(fd, name, value, path)
		if drop != "" {
			delete(e.Xattrs, name)
			err = u.note(drop)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setXattr sets one attribute, or returns the key of the note with which it is
// dropped.
func (u *unpacker) setXattr(fd int, name, value, path string) (drop string, err error) {
	if u.o.IDs == layer.RecordedIDs {
		return "", nil
	}
	err = u.disk.Setxattr(fd, name, value)
	isACL := name == accessACL || name == defaultACL
	switch {
	case err == nil:
		return "", nil
	case err == unix.EPERM && name == capability:
		return layer.NoteCapability, nil
	case err == unix.EINVAL && isACL:
		return "", &MalformedError{Entry: path, Offset: -1, Reason: "an invalid POSIX ACL"}
	case err == unix.EOPNOTSUPP, name != capability && u.refuses(err):
		return layer.NoteXattrSupport, nil
	}
	return "", fmt.Errorf("set extended attribute %s of %s: %w", entryname.Quote(name), entryname.Quote(path), err)
}

// refuses reports whether err means that the filesystem cannot hold an extended
// attribute of that name or size, and not that the disk is full.
func (u *unpacker) refuses(err error) bool {
	switch err {
	case unix.EPERM, unix.EINVAL:
		return true
	case unix.ENOSPC, unix.E2BIG, unix.ERANGE:
		return u.meter.free(maxValue) == nil
	}
	return false
}

// stripXattrs removes the extended attributes that an earlier entry has set on a
// directory.
func (u *unpacker) stripXattrs(d *layerdisk.Dir) error {
	b := make([]byte, maxValue)
	n, err := u.disk.Listxattr(d.FD, b)
	if err != nil {
		if err == unix.EOPNOTSUPP {
			return nil
		}
		return failed("list the extended attributes of", d.Path, err)
	}
	for name := range strings.SplitSeq(string(b[:n]), "\x00") {
		if name == "" || name == u.marks.opaque || name == "security.selinux" {
			continue
		}
		if err := u.disk.Removexattr(d.FD, name); err != nil {
			return failed("remove an extended attribute of", d.Path, err)
		}
	}
	return nil
}

// readBackACL puts into e the access ACL as the kernel keeps it: it drops an ACL that
// says no more than the mode, and chmod changes others. mode is the final mode.
func (u *unpacker) readBackACL(fd int, e layer.Entry, mode uint32, path string) error {
	if _, ok := e.Xattrs[accessACL]; !ok {
		return nil
	}
	b := make([]byte, maxValue)
	n, err := u.disk.Getxattr(fd, accessACL, b)
	if err == unix.ENODATA {
		delete(e.Xattrs, accessACL)
		return nil
	}
	if err != nil {
		return failed("read the ACL of", path, err)
	}
	layerdisk.SetACLOwner(b[:n], mode)
	e.Xattrs[accessACL] = string(b[:n])
	return nil
}
