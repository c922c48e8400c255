// SPDX-License-Identifier: Apache-2.0

package layerdisk

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func (m *Memory) Chown(int, uint32, uint32) error { return nil }

func (m *Memory) Lchown(int, string, uint32, uint32) error { return nil }

// Chmod changes an access ACL with the mode, as the kernel does: of one that
// says more than a mode its owner, its mask and the others.
func (m *Memory) Chmod(fd int, mode uint32) error {
	n := m.open[fd]
	acl, ok := n.acls[AccessACL]
	if !ok {
		return nil
	}
	b := []byte(acl)
	for e := range aclEntries(b) {
		switch e.tag() {
		case aclOwner:
			e.allow(mode >> 6)
		case aclMask:
			e.allow(mode >> 3)
		case aclOther:
			e.allow(mode)
		}
	}
	n.acls[AccessACL] = string(b)
	return nil
}

func (m *Memory) ChmodNode(int, string, uint32) error { return nil }

func (m *Memory) SetTimes(int, unix.Timespec) error { return nil }

func (m *Memory) SetTimesAt(int, string, unix.Timespec) error { return nil }

func (m *Memory) StoredTime(_ int, mtime unix.Timespec) (unix.Timespec, error) { return mtime, nil }

// Setxattr keeps ACLs only: nothing else is asked for again.
func (m *Memory) Setxattr(fd int, name, value string) error {
	if name != AccessACL && name != DefaultACL {
		return nil
	}
	if !validACL([]byte(value)) {
		return unix.EINVAL
	}
	n := m.open[fd]
	if name == AccessACL && plainACL([]byte(value)) {
		delete(n.acls, name) // the mode says it all
		return nil
	}
	if n.acls == nil {
		n.acls = make(map[string]string)
		if n.is(directory) {
			m.acls[n.number()] = n.acls
		}
	}
	n.acls[name] = value
	return nil
}

func (m *Memory) Getxattr(fd int, name string, value []byte) (int, error) {
	acl, ok := m.open[fd].acls[name]
	if !ok {
		return 0, unix.ENODATA
	}
	return copy(value, acl), nil
}

func (m *Memory) Listxattr(fd int, names []byte) (int, error) {
	list := strings.Join(slices.Sorted(maps.Keys(m.open[fd].acls)), "\x00")
	return copy(names, list), nil
}

func (m *Memory) Removexattr(fd int, name string) error {
	acls := m.open[fd].acls
	if _, ok := acls[name]; !ok {
		return unix.ENODATA
	}
	delete(acls, name)
	return nil
}

// The entries of an ACL stand in the order of their tags (acl(5)).
var aclOrder = []uint16{aclOwner, aclUser, aclOwningGroup, aclGroup, aclMask, aclOther}

// validACL is true for what the kernel takes: entries in order, the owner, the
// owning group and the others once each, a mask at most once and at least
// where users or groups are named, and no id that is none.
func validACL(b []byte) bool {
	var count [6]int
	last := 0
	for e := range aclEntries(b) {
		at := slices.Index(aclOrder, e.tag())
		named := e.tag() == aclUser || e.tag() == aclGroup
		if at < last || e.permissions() > 7 || named && e.id() == noID {
			return false
		}
		last = at
		count[at]++
	}
	owner, users, group, groups, mask, other := count[0], count[1], count[2], count[3], count[4], count[5]
	return owner == 1 && group == 1 && other == 1 && mask <= 1 && (mask == 1 || users+groups == 0)
}

// plainACL is true for an ACL that says no more than a mode.
func plainACL(b []byte) bool {
	for e := range aclEntries(b) {
		if tag := e.tag(); tag != aclOwner && tag != aclOwningGroup && tag != aclOther {
			return false
		}
	}
	return true
}
