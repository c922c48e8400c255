// SPDX-License-Identifier: Apache-2.0

// Package layerxattr says which extended attributes of a tar entry a layer may
// set, and why not the others.
package layerxattr

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/layer"
)

const (
	// Capability is the attribute of a file's capabilities.
	Capability = "security.capability"
	// MaxValue is the longest value that Linux takes, XATTR_SIZE_MAX, in bytes.
	MaxValue = 64 << 10
)

// On is what an attribute would be set on.
type On struct {
	Regular, Directory bool // neither for any other type
	// Squashed says that files belong to the caller, who may set no capability.
	Squashed bool
	// NoACL says that the filesystem holds no POSIX ACL.
	NoACL bool
}

// Judge says under which note an attribute is left out, if it is. The marks of overlayfs
// would change what a mount shows, those of the host's own security what the
// host believes; neither is the image's to set. malformed says what is wrong
// with a value that nobody can mean.
func Judge(name, value string, on On) (note, malformed string) {
	namespace, rest, _ := strings.Cut(name, ".")
	switch {
	case rest == "" || !slices.Contains([]string{"system", "security", "trusted", "user"}, namespace):
		return layer.NoteXattrNamespace, ""
	case name != Capability && (len(name) > entryname.MaxName || len(value) > MaxValue):
		return layer.NoteXattrSupport, ""
	}
	switch namespace {
	case "trusted":
		if strings.HasPrefix(rest, "overlay.") {
			return layer.NoteXattrOverlay, ""
		}
		return layer.NoteXattrTrusted, ""
	case "user":
		return judgeUser(rest, on), ""
	case "security":
		return judgeSecurity(name, value, on)
	}
	return judgeSystem(name, value, on)
}

func judgeUser(name string, on On) (note string) {
	switch {
	case strings.HasPrefix(name, "overlay."), strings.HasPrefix(name, "fuseoverlayfs."):
		return layer.NoteXattrOverlay
	case strings.HasPrefix(name, "containers."):
		return layer.NoteXattrContainer
	case !on.Regular && !on.Directory:
		return layer.NoteXattrType // xattr(7): the kernel refuses them there
	}
	return ""
}

func judgeSecurity(name, value string, on On) (note, malformed string) {
	if name != Capability {
		return layer.NoteXattrSecurity, ""
	}
	if reason := checkCapability(value); reason != "" {
		return "", "a file capability " + reason
	}
	switch {
	case !on.Regular:
		return layer.NoteXattrType, ""
	case on.Squashed:
		return layer.NoteCapability, ""
	}
	return "", ""
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

func judgeSystem(name, value string, on On) (note, malformed string) {
	switch name {
	case "system.nfs4_acl":
		return layer.NoteXattrNFS4, ""
	case layerdisk.AccessACL, layerdisk.DefaultACL:
		return judgeACL(name, value, on)
	}
	return layer.NoteXattrNamespace, ""
}

func judgeACL(name, value string, on On) (note, malformed string) {
	if reason := layerdisk.CheckACL(value); reason != "" {
		return "", "a POSIX ACL " + reason
	}
	switch {
	case on.NoACL:
		return layer.NoteXattrSupport, ""
	case !on.Directory && (name == layerdisk.DefaultACL || !on.Regular):
		return layer.NoteXattrType, ""
	}
	return "", ""
}
