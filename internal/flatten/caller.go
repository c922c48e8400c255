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

// caller is the user who runs this process. The files are the caller's unless
// Options.SameOwner is set.
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

// umask reads the process's umask from /proc, because umask(2) cannot read it
// without changing it. Where that fails it is 077, the strictest.
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

// mode returns the mode that an entry's file gets. If the file is the caller's, the
// set-user-ID bit stays only where the image names the caller as the owner, and the
// set-group-ID bit only where it names the caller's group: otherwise a program of
// another user would run as the caller. An ordinary user's files lose both bits and
// obey the umask, as with tar. A file with an ACL ignores the umask.
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
