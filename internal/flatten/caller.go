// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/layer"
)

// caller is the user whose the files are, where they are not the image's
// owners'.
type caller struct {
	uid, gid uint32
	ordinary bool   // not root
	umask    uint32 // of an ordinary user
}

func thisCaller() caller {
	c := caller{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	if c.uid != 0 {
		c.ordinary, c.umask = true, umask()
	}
	return c
}

// umask reads the process's umask, which umask(2) can only replace.
func umask() uint32 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0o077
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "Umask:"); ok {
			if mask, err := strconv.ParseUint(strings.TrimSpace(value), 8, 32); err == nil {
				return uint32(mask)
			}
		}
	}
	return 0o077
}

// mode is what an entry's mode becomes. A set-id bit stays where the file has
// the owner, or the group, that the image gives it to: another one's files
// would run as the caller. Of an ordinary user they all go and the umask
// holds, as with tar. The umask does not change an ACL.
func (m *maker) mode(e layer.Entry) uint32 {
	if m.o.sameOwner {
		return e.Mode
	}
	c := m.o.caller
	var cleared uint32
	if c.ordinary || e.UID != c.uid {
		cleared |= unix.S_ISUID
	}
	if c.ordinary || e.GID != c.gid {
		cleared |= unix.S_ISGID
	}
	mode := e.Mode &^ cleared
	if mode != e.Mode {
		m.o.leftOut(layer.NoteSetID)
	}
	if _, hasACL := e.Xattrs[fsat.AccessACL]; !hasACL {
		mode &^= c.umask
	}
	return mode
}
