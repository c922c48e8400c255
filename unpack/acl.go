// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// The attributes that hold POSIX ACLs, in the form of
// linux/posix_acl_xattr.h: version 2, then entries of tag, permissions, id.
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"

	aclHeader = 4
	aclEntry  = 8

	// Tags: the mode's bits, the mask, and those with an id.
	aclOwner       = 0x01
	aclUser        = 0x02
	aclOwningGroup = 0x04
	aclGroup       = 0x08
	aclMask        = 0x10
	aclOther       = 0x20

	noID = math.MaxUint32 // of entries that name none
)

func (u *unpacker) judgeACL(x layertar.Xattr) (drop string, err error) {
	if reason := checkACL(x.Value); reason != "" {
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

// checkACL looks at the form only. What the entries say is for the kernel to
// judge.
func checkACL(value string) (reason string) {
	b := []byte(value)
	if len(b) < aclHeader || binary.LittleEndian.Uint32(b) != 2 {
		return "of an unknown version"
	}
	if len(b) == aclHeader || (len(b)-aclHeader)%aclEntry != 0 {
		return fmt.Sprintf("of %d bytes", len(b))
	}
	return ""
}

// canonicalACL is the value as the kernel gives it back: only the entries of
// named users and groups have an id.
func canonicalACL(value string) string {
	b := []byte(value)
	for e := range aclEntries(b) {
		if tag := e.tag(); tag != aclUser && tag != aclGroup {
			binary.LittleEndian.PutUint32(e[4:], noID)
		}
	}
	return string(b)
}

// heldACL puts into e what the kernel has made of an access ACL: one that
// says no more than the mode is not kept, and chmod changes the others. mode
// is what the mode will be in the end.
func (u *unpacker) heldACL(fd int, e layer.Entry, mode uint32, path string) error {
	if _, ok := e.Xattrs[accessACL]; !ok {
		return nil
	}
	b := make([]byte, maxValue)
	n, err := u.disk.getxattr(fd, accessACL, b)
	if err == unix.ENODATA {
		delete(e.Xattrs, accessACL)
		return nil
	}
	if err != nil {
		return failed("read the ACL of", path, err)
	}
	b = b[:n]
	for e := range aclEntries(b) {
		if e.tag() == aclOwner {
			e.allow(mode >> 6)
		}
	}
	e.Xattrs[accessACL] = string(b)
	return nil
}

// aclBytes is one entry of an ACL.
type aclBytes []byte

func (e aclBytes) tag() uint16         { return binary.LittleEndian.Uint16(e) }
func (e aclBytes) permissions() uint16 { return binary.LittleEndian.Uint16(e[2:]) }
func (e aclBytes) id() uint32          { return binary.LittleEndian.Uint32(e[4:]) }

// allow sets the permissions to the lowest three bits of a mode.
func (e aclBytes) allow(mode uint32) { binary.LittleEndian.PutUint16(e[2:], uint16(mode&7)) }

// aclEntries are the entries of an ACL whose form is right, in place.
func aclEntries(b []byte) func(yield func(aclBytes) bool) {
	return func(yield func(aclBytes) bool) {
		for i := aclHeader; i+aclEntry <= len(b); i += aclEntry {
			if !yield(b[i : i+aclEntry]) {
				return
			}
		}
	}
}
