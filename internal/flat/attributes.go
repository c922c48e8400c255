// SPDX-License-Identifier: Apache-2.0

package flat

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/layer"
)

const (
	capability = "security.capability"
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// describe gives an open file or directory what its entry says, in the order
// that keeps it: chown clears set-id bits and capabilities, a mode may forbid
// to set attributes, and all of it changes no time.
func (m *maker) describe(f *os.File, e layer.Entry) error {
	fd := int(f.Fd())
	if m.o.SameOwner {
		if err := unix.Fchown(fd, int(e.UID), int(e.GID)); err != nil {
			return fmt.Errorf("give %.200q to %d:%d: %w", e.Path, e.UID, e.GID, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if err := m.setXattr(fd, name, e.Xattrs[name], e.Path); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(fd, e.Mode); err != nil {
		return &os.PathError{Op: "chmod", Path: e.Path, Err: err}
	}
	ts, err := times(e)
	if err == nil {
		err = unix.UtimesNanoAt(unix.AT_FDCWD, procPath(fd), ts, 0)
	}
	if err != nil {
		return &os.PathError{Op: "set times of", Path: e.Path, Err: err}
	}
	return nil
}

// describeNode is describe for what must not be opened: a symbolic link, a
// device, a FIFO.
func (m *maker) describeNode(dir *os.File, name string, e layer.Entry) error {
	fd := int(dir.Fd())
	var err error
	if m.o.SameOwner {
		err = unix.Fchownat(fd, name, int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil && e.Type != layer.Symlink {
		err = unix.Fchmodat(fd, name, e.Mode, 0) // it has just been made: no symbolic link
	}
	ts, terr := times(e)
	if err == nil {
		err = terr
	}
	if err == nil {
		err = unix.UtimesNanoAt(fd, name, ts, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return &os.PathError{Op: "set the attributes of", Path: e.Path, Err: err}
	}
	return nil
}

// times are the entry's, for access too: so the tree is the same every time.
func times(e layer.Entry) ([]unix.Timespec, error) {
	ts, err := unix.TimeToTimespec(e.ModTime)
	return []unix.Timespec{ts, ts}, err
}

// setXattr sets one attribute; what may not be set here is counted.
func (m *maker) setXattr(fd int, name, value, path string) error {
	if name == capability && !m.o.SameOwner {
		m.leftOut(Capability, path) // whoever got it for a file of root's would have more than the image gives
		return nil
	}
	err := unix.Fsetxattr(fd, name, []byte(value), 0)
	switch {
	case err == unix.EOPNOTSUPP:
		m.leftOut(Attribute, path)
		return nil
	case err == unix.EPERM && name == capability:
		m.leftOut(Capability, path)
		return nil
	case err != nil:
		return fmt.Errorf("set extended attribute %.200q of %.200q: %w", name, path, err)
	}
	return nil
}

func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// withoutACL takes from a new directory what its parent has passed on: no
// image knows of it.
func withoutACL(dir *os.File) error {
	for _, name := range []string{accessACL, defaultACL} {
		err := unix.Fremovexattr(int(dir.Fd()), name)
		if err != nil && err != unix.ENODATA && err != unix.EOPNOTSUPP {
			return &os.PathError{Op: "remove the ACL of", Path: dir.Name(), Err: err}
		}
	}
	return nil
}
