// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// fsContext is a filesystem being configured by the mount API of Linux 5.2
// (fsopen(2), fsconfig(2), fsmount(2)).
type fsContext struct{ fd int }

func openFSContext(fstype string) (*fsContext, error) {
	fd, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen %s: %w", fstype, err)
	}
	return &fsContext{fd}, nil
}

func (c *fsContext) Close() error { return unix.Close(c.fd) }

func (c *fsContext) set(key, value string) error {
	return c.explain(key, unix.FsconfigSetString(c.fd, key, value))
}

func (c *fsContext) flag(key string) error {
	return c.explain(key, unix.FsconfigSetFlag(c.fd, key))
}

func (c *fsContext) dir(key string, dir *os.File) error {
	return c.explain(key, unix.FsconfigSetFd(c.fd, key, int(dir.Fd())))
}

// mount creates the filesystem and returns its root, attached nowhere, with
// mount flags MOUNT_ATTR_*. It lives as long as it is attached or the root is
// open.
func (c *fsContext) mount(flags uintptr) (*os.File, error) {
	if err := c.explain("create", unix.FsconfigCreate(c.fd)); err != nil {
		return nil, err
	}
	fd, err := unix.Fsmount(c.fd, unix.FSMOUNT_CLOEXEC, int(flags))
	if err != nil {
		return nil, c.explain("fsmount", err)
	}
	return os.NewFile(uintptr(fd), "overlay"), nil
}

// explain adds the kernel's own words to err: a filesystem context is also a
// log, read one message a time.
func (c *fsContext) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var words []string
	buf := make([]byte, 1<<12)
	for range 32 {
		n, readErr := unix.Read(c.fd, buf)
		if readErr != nil || n <= 0 {
			break
		}
		line := strings.TrimSpace(string(buf[:n]))
		if len(line) > 2 && line[1] == ' ' {
			line = line[2:] // "e ", "w ", "i "
		}
		words = append(words, line)
	}
	if len(words) == 0 {
		return fmt.Errorf("overlay %s: %w", what, err)
	}
	return fmt.Errorf("overlay %s: %w (%s)", what, err, strings.Join(words, "; "))
}

// moveTo attaches the mount whose root is open.
func moveTo(root *os.File, target string) error {
	err := unix.MoveMount(int(root.Fd()), "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("attach the mount: %w", err)
	}
	return nil
}

// procPath is a path to an open directory that needs no escaping anywhere and
// fits into the 255 bytes that fsconfig(2) takes.
func procPath(dir *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", dir.Fd()) }
