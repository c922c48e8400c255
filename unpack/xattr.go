// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

const (
	capability = "security.capability"
	maxValue   = 64 << 10 // XATTR_SIZE_MAX
)

// xattrs chooses among the extended attributes of the current entry.
func (u *unpacker) xattrs() (map[string]string, error) {
	h := u.h
	if h.Foreign {
		if err := u.note(NoteXattrForeign); err != nil {
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

// namespaces are those of Linux (xattr(7)).
var namespaces = []string{"system", "security", "trusted", "user"}

// judge says under which note an attribute is dropped, if it is. The marks of
// overlayfs would change what the mount shows, those of the host's own
// security what the host believes; neither is the image's to set.
func (u *unpacker) judge(x layertar.Xattr) (drop string, err error) {
	namespace, rest, _ := strings.Cut(x.Name, ".")
	switch {
	case rest == "" || !slices.Contains(namespaces, namespace):
		return NoteXattrNamespace, nil
	case x.Name != capability && (len(x.Name) > entryname.MaxName || len(x.Value) > maxValue):
		return NoteXattrSupport, nil // more than Linux takes, whatever the filesystem
	}
	switch namespace {
	case "trusted":
		if strings.HasPrefix(rest, "overlay.") {
			return NoteXattrOverlay, nil
		}
		return NoteXattrTrusted, nil
	case "user":
		return u.judgeUser(rest), nil
	case "security":
		return u.judgeSecurity(x)
	default:
		return u.judgeSystem(x)
	}
}

func (u *unpacker) judgeUser(name string) (drop string) {
	switch {
	case strings.HasPrefix(name, "overlay."), strings.HasPrefix(name, "fuseoverlayfs."):
		return NoteXattrOverlay
	case strings.HasPrefix(name, "containers."):
		return NoteXattrContainer
	case u.h.Type != layertar.Regular && u.h.Type != layertar.Directory:
		return NoteXattrType // xattr(7): the kernel refuses them there
	}
	return ""
}

func (u *unpacker) judgeSecurity(x layertar.Xattr) (drop string, err error) {
	if x.Name != capability {
		return NoteXattrSecurity, nil
	}
	if reason := checkCapability(x.Value); reason != "" {
		return "", u.malformed("a file capability %s", reason)
	}
	switch {
	case u.h.Type != layertar.Regular:
		return NoteXattrType, nil
	case u.o.IDs == layer.SquashedIDs:
		return NoteCapability, nil
	}
	return "", nil
}

// checkCapability looks at struct vfs_ns_cap_data of linux/capability.h:
// revision 2 has 20 bytes, revision 3 a root id more.
func checkCapability(value string) (reason string) {
	if len(value) < 4 {
		return fmt.Sprintf("of %d bytes", len(value))
	}
	revision := binary.LittleEndian.Uint32([]byte(value)) >> 24
	if revision == 2 && len(value) == 20 || revision == 3 && len(value) == 24 {
		return ""
	}
	return fmt.Sprintf("of revision %d with %d bytes", revision, len(value))
}

func (u *unpacker) judgeSystem(x layertar.Xattr) (drop string, err error) {
	switch x.Name {
	case "system.nfs4_acl":
		return NoteXattrNFS4, nil
	case accessACL, defaultACL:
		return u.judgeACL(x)
	}
	return NoteXattrNamespace, nil
}

// setXattrs sets what xattrs has kept, and takes out of e what cannot be set
// here. A default ACL waits for the end: what is made in the directory would
// inherit it.
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

// setXattr sets one attribute, or says under which note it is dropped.
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
		return NoteCapability, nil
	case err == unix.EINVAL && isACL:
		return "", &MalformedError{Entry: path, Offset: -1, Reason: "an invalid POSIX ACL"}
	case err == unix.EOPNOTSUPP, name != capability && u.refuses(err):
		return NoteXattrSupport, nil
	}
	return "", fmt.Errorf("set extended attribute %s of %s: %w", quote(name), quote(path), err)
}

// refuses is true for what a filesystem says of an extended attribute that it
// cannot hold: of this name, or as large as that. A full disk is none of these.
func (u *unpacker) refuses(err error) bool {
	switch err {
	case unix.EPERM, unix.EINVAL:
		return true
	case unix.ENOSPC, unix.E2BIG, unix.ERANGE:
		return u.meter.free(maxValue) == nil
	}
	return false
}

// stripXattrs removes what an earlier entry has set on a directory.
func (u *unpacker) stripXattrs(d *dir) error {
	b := make([]byte, maxValue)
	n, err := u.disk.Listxattr(d.fd, b)
	if err != nil {
		if err == unix.EOPNOTSUPP {
			return nil
		}
		return failed("list the extended attributes of", d.path, err)
	}
	for name := range strings.SplitSeq(string(b[:n]), "\x00") {
		if name == "" || name == u.marks.opaque || name == "security.selinux" {
			continue
		}
		if err := u.disk.Removexattr(d.fd, name); err != nil {
			return failed("remove an extended attribute of", d.path, err)
		}
	}
	return nil
}
