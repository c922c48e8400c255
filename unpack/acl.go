// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

const (
	accessACL  = layerdisk.AccessACL
	defaultACL = layerdisk.DefaultACL
)

func (u *unpacker) judgeACL(x layertar.Xattr) (drop string, err error) {
	if reason := layerdisk.CheckACL(x.Value); reason != "" {
		return "", u.malformed("a POSIX ACL %s", reason)
	}
	isDir := u.h.Type == layertar.Directory
	switch {
	case u.noACL:
		return NoteXattrSupport, nil
	case !isDir && (x.Name == defaultACL || u.h.Type != layertar.Regular):
		return NoteXattrType, nil
	}
	return "", nil
}

// readBackACL puts into e what the kernel has made of an access ACL: one that
// says no more than the mode is not kept, and chmod changes the others. mode
// is what the mode will be in the end.
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
