// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Context is a filesystem being configured by the mount API of Linux 5.2
// (fsopen(2), fsconfig(2), fsmount(2)).
type Context struct {
	fd     int
	fstype string
}

// OpenContext begins a filesystem of a type.
func OpenContext(fstype string) (*Context, error) {
	fd, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen %s: %w", fstype, err)
	}
	return &Context{fd, fstype}, nil
}

// Close ends the context; what was mounted by it stays.
func (c *Context) Close() error { return unix.Close(c.fd) }

// Set gives an option its value.
func (c *Context) Set(key, value string) error {
	return c.explain(key, unix.FsconfigSetString(c.fd, key, value))
}

// Flag sets an option that has no value.
func (c *Context) Flag(key string) error {
	return c.explain(key, unix.FsconfigSetFlag(c.fd, key))
}

// SetDir gives an option an open directory as its value.
func (c *Context) SetDir(key string, dir *os.File) error {
	return c.explain(key, unix.FsconfigSetFd(c.fd, key, int(dir.Fd())))
}

// Mount creates the filesystem and returns its root, attached nowhere, with
// mount flags MOUNT_ATTR_*. It lives as long as it is attached or the root is
// open.
func (c *Context) Mount(flags uintptr) (*os.File, error) {
	if err := c.explain("create", unix.FsconfigCreate(c.fd)); err != nil {
		return nil, err
	}
	fd, err := unix.Fsmount(c.fd, unix.FSMOUNT_CLOEXEC, int(flags))
	if err != nil {
		return nil, c.explain("fsmount", err)
	}
	return os.NewFile(uintptr(fd), c.fstype), nil
}

// explain adds the kernel's own words to err: a filesystem context is also a
// log, read one message a time.
func (c *Context) explain(what string, err error) error {
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
		return fmt.Errorf("%s %s: %w", c.fstype, what, err)
	}
	return fmt.Errorf("%s %s: %w (%s)", c.fstype, what, err, strings.Join(words, "; "))
}

// Option sets "key" or "key=value".
func (c *Context) Option(option string) error {
	if key, value, ok := strings.Cut(option, "="); ok {
		return c.Set(key, strings.Trim(value, `"`)) // quoted is what has commas
	}
	return c.Flag(option)
}

// noSuchOption is for control: a kernel that takes it takes anything.
const noSuchOption = "layerctl_no_such_option"

// TakesAnything reports whether the kernel looks at options only when it mounts
// (overlayfs before Linux 6.5).
func (c *Context) TakesAnything() bool { return c.Flag(noSuchOption) == nil }

// DirPath is a path to an open directory that needs no escaping anywhere and
// fits into the 255 bytes that fsconfig(2) takes.
func DirPath(dir *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", dir.Fd()) }

// Attach attaches the mount whose root is open at a directory that is open.
func Attach(root, point *os.File) error {
	err := unix.MoveMount(int(root.Fd()), "", int(point.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("attach the mount: %w", err)
	}
	return nil
}
