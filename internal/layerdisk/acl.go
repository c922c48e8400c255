// SPDX-License-Identifier: Apache-2.0

package layerdisk

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The attributes that hold POSIX ACLs, in the form of
// linux/posix_acl_xattr.h: version 2, then entries of tag, permissions, id.
const (
	AccessACL  = "system.posix_acl_access"
	DefaultACL = "system.posix_acl_default"

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

// CheckACL looks at the form only. What the entries say is for the kernel to
// judge.
func CheckACL(value string) (reason string) {
	b := []byte(value)
	if len(b) < aclHeader || binary.LittleEndian.Uint32(b) != 2 {
		return "of an unknown version"
	}
	if len(b) == aclHeader || (len(b)-aclHeader)%aclEntry != 0 {
		return fmt.Sprintf("of %d bytes", len(b))
	}
	return ""
}

// CanonicalACL is the value as the kernel gives it back: only the entries of
// named users and groups have an id.
func CanonicalACL(value string) string {
	b := []byte(value)
	for e := range aclEntries(b) {
		if tag := e.tag(); tag != aclUser && tag != aclGroup {
			binary.LittleEndian.PutUint32(e[4:], noID)
		}
	}
	return string(b)
}

// SetACLOwner gives the owner's entry of an ACL the owner's bits of a mode.
func SetACLOwner(value []byte, mode uint32) {
	for e := range aclEntries(value) {
		if e.tag() == aclOwner {
			e.allow(mode >> 6)
		}
	}
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
