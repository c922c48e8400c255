// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// disk is the system calls that change the layer's directory, each behind a
// fault point and each on a descriptor and one name: no path of the image's
// is ever given to the kernel to walk.
type disk struct {
	fault func(op string) error
}

// again repeats a call that a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func (d disk) do(op string, call func() error) error {
	if err := d.fault(op); err != nil {
		return err
	}
	return again(call)
}

func (d disk) mkdir(dir int, name string) error {
	return d.do("mkdir", func() error { return unix.Mkdirat(dir, name, 0o700) })
}

// create makes a new regular file. O_EXCL and O_NOFOLLOW: whatever stands at
// the name, a hardlink or a symlink to somewhere else, is never written into.
func (d disk) create(dir int, name string) (fd int, err error) {
	err = d.do("create", func() error {
		fd, err = unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	return fd, err
}

func (d disk) write(fd int, b []byte) error {
	if err := d.fault("write"); err != nil {
		return err
	}
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil && err != unix.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

// writeBehind has the kernel begin to write a file to the device. It is a hint
// without an error: what cannot be written the sync will say.
func (d disk) writeBehind(fd int) {
	_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

func (d disk) symlink(target string, dir int, name string) error {
	return d.do("symlink", func() error { return unix.Symlinkat(target, dir, name) })
}

// link never follows a symlink: flag 0 links the symlink itself.
func (d disk) link(oldDir int, oldName string, newDir int, newName string) error {
	return d.do("link", func() error { return unix.Linkat(oldDir, oldName, newDir, newName, 0) })
}

func (d disk) mknod(dir int, name string, mode uint32, dev uint64) error {
	return d.do("mknod", func() error { return unix.Mknodat(dir, name, mode, int(dev)) })
}

func (d disk) unlink(dir int, name string, flags int) error {
	return d.do("unlink", func() error { return unix.Unlinkat(dir, name, flags) })
}

func (d disk) chown(fd int, uid, gid uint32) error {
	return d.do("chown", func() error { return unix.Fchown(fd, int(uid), int(gid)) })
}

func (d disk) lchown(dir int, name string, uid, gid uint32) error {
	return d.do("chown", func() error {
		return unix.Fchownat(dir, name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (d disk) chmod(fd int, mode uint32) error {
	return d.do("chmod", func() error { return unix.Fchmod(fd, mode) })
}

// chmodNode sets the mode of a node, which must not be opened: a FIFO would
// block and a device would start its driver.
func (d disk) chmodNode(dir int, name string, mode uint32) error {
	return d.do("chmod", func() error {
		err := unix.Fchmodat(dir, name, mode, unix.AT_SYMLINK_NOFOLLOW)
		if err != unix.EOPNOTSUPP { // fchmodat2 is of Linux 6.6
			return err
		}
		fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return errors.Join(unix.Chmod(procFD(fd), mode), unix.Close(fd))
	})
}

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// times sets the modification time of an open file, and its access time with
// it, so that a layer is the same on each machine.
func (d disk) times(fd int, mtime unix.Timespec) error {
	ts := [2]unix.Timespec{mtime, mtime}
	return d.do("utimes", func() error {
		// A nil path is futimens; AT_EMPTY_PATH would need Linux 5.8.
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}

func (d disk) ltimes(dir int, name string, mtime unix.Timespec) error {
	return d.do("utimes", func() error {
		return unix.UtimesNanoAt(dir, name, []unix.Timespec{mtime, mtime}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (d disk) setxattr(fd int, name, value string) error {
	return d.do("setxattr", func() error { return unix.Fsetxattr(fd, name, []byte(value), 0) })
}

func (d disk) removexattr(fd int, name string) error {
	return d.do("removexattr", func() error { return unix.Fremovexattr(fd, name) })
}

func (d disk) close(fd int) error {
	if err := d.fault("close"); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	return unix.Close(fd) // never again after EINTR: Linux has closed it
}

// openDir opens one name of a directory that is a directory itself.
func openDir(dir int, name string) (fd int, err error) {
	err = again(func() error {
		fd, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// openBelow opens a directory by its path below root, with no symlink and no
// mount on the way.
func openBelow(root int, path string) (fd int, err error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	}
	for range 100 {
		// EAGAIN: something was renamed elsewhere on the machine meanwhile,
		// which RESOLVE_BENEATH cannot tell from an escape (openat2(2)).
		fd, err = unix.Openat2(root, path, &how)
		if err != unix.EINTR && err != unix.EAGAIN {
			break
		}
	}
	if err == unix.ENOSYS || err == unix.EPERM { // before Linux 5.6, or an old seccomp filter
		return walkBelow(root, path)
	}
	return fd, err
}

// walkBelow is openBelow by one openat for each name.
func walkBelow(root int, path string) (fd int, err error) {
	fd, err = openDir(root, ".")
	for part := range strings.SplitSeq(path, "/") {
		if err != nil {
			return -1, err
		}
		above := fd
		fd, err = openDir(above, part)
		if cerr := unix.Close(above); err == nil {
			err = cerr
		}
	}
	return fd, err
}

// lstat looks at one name without following it.
func lstat(dir int, name string) (st unix.Stat_t, err error) {
	err = again(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

func readlink(dir int, name string) (string, error) {
	b := make([]byte, maxPath+1)
	n, err := unix.Readlinkat(dir, name, b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// failed names the operation and the path of an error of the disk.
func failed(verb, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb, quote(path), err)
}
