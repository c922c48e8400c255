// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"errors"
	"io"
	"iter"
	"math"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is the disk of this machine. Each call that changes it is behind a
// fault point.
type kernel struct {
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

func (d kernel) do(op string, call func() error) error {
	if err := d.fault(op); err != nil {
		return err
	}
	return again(call)
}

func (d kernel) mkdir(dir int, name string) error {
	return d.do("mkdir", func() error { return unix.Mkdirat(dir, name, 0o700) })
}

// create makes a new regular file. O_EXCL and O_NOFOLLOW: whatever stands at
// the name, a hardlink or a symlink to somewhere else, is never written into.
func (d kernel) create(dir int, name string) (fd int, err error) {
	err = d.do("create", func() error {
		fd, err = unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	return fd, err
}

func (d kernel) write(fd int, b []byte) error {
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
func (d kernel) writeBehind(fd int) {
	_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

func (d kernel) symlink(target string, dir int, name string) error {
	return d.do("symlink", func() error { return unix.Symlinkat(target, dir, name) })
}

// link never follows a symlink: flag 0 links the symlink itself.
func (d kernel) link(oldDir int, oldName string, newDir int, newName string) error {
	return d.do("link", func() error { return unix.Linkat(oldDir, oldName, newDir, newName, 0) })
}

func (d kernel) mknod(dir int, name string, mode uint32, dev uint64) error {
	return d.do("mknod", func() error { return unix.Mknodat(dir, name, mode, int(dev)) })
}

func (d kernel) unlink(dir int, name string, flags int) error {
	return d.do("unlink", func() error { return unix.Unlinkat(dir, name, flags) })
}

func (d kernel) chown(fd int, uid, gid uint32) error {
	return d.do("chown", func() error { return unix.Fchown(fd, int(uid), int(gid)) })
}

func (d kernel) lchown(dir int, name string, uid, gid uint32) error {
	return d.do("chown", func() error {
		return unix.Fchownat(dir, name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (d kernel) chmod(fd int, mode uint32) error {
	return d.do("chmod", func() error { return unix.Fchmod(fd, mode) })
}

// chmodNode sets the mode of a node, which must not be opened: a FIFO would
// block and a device would start its driver.
func (d kernel) chmodNode(dir int, name string, mode uint32) error {
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
func (d kernel) times(fd int, mtime unix.Timespec) error {
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

func (d kernel) ltimes(dir int, name string, mtime unix.Timespec) error {
	return d.do("utimes", func() error {
		return unix.UtimesNanoAt(dir, name, []unix.Timespec{mtime, mtime}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (d kernel) setxattr(fd int, name, value string) error {
	return d.do("setxattr", func() error { return unix.Fsetxattr(fd, name, []byte(value), 0) })
}

func (d kernel) removexattr(fd int, name string) error {
	return d.do("removexattr", func() error { return unix.Fremovexattr(fd, name) })
}

func (d kernel) close(fd int) error {
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

func (d kernel) openDir(dir int, name string) (fd int, err error) { return openDir(dir, name) }

func (d kernel) openBelow(root int, path string) (fd int, err error) { return openBelow(root, path) }

func (d kernel) lstat(dir int, name string) (st unix.Stat_t, err error) {
	err = again(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

func (d kernel) fstat(fd int) (st unix.Stat_t, err error) {
	err = again(func() error { return unix.Fstat(fd, &st) })
	return st, err
}

func (d kernel) readlink(dir int, name string) (string, error) {
	b := make([]byte, maxPath+1)
	n, err := unix.Readlinkat(dir, name, b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

func (d kernel) names(dir int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		fd, err := openDir(dir, ".")
		if err != nil {
			yield("", err)
			return
		}
		f := os.NewFile(uintptr(fd), "")
		defer f.Close() //nolint:errcheck // only read
		for err != io.EOF {
			var names []string
			if names, err = f.Readdirnames(256); err != nil && err != io.EOF {
				yield("", err)
				return
			}
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
			}
		}
	}
}

// marked opens the file, so of what has no whiteout's mode it says no.
func (d kernel) marked(dir int, name, xattr string) (bool, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == unix.EACCES {
		return false, nil // it has a mode from the tar; a whiteout has 0600
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	switch _, err := unix.Fgetxattr(fd, xattr, nil); err {
	case nil:
		return true, nil
	case unix.ENODATA:
		return false, nil
	default:
		return false, err
	}
}

func (d kernel) getxattr(fd int, name string, value []byte) (int, error) {
	return unix.Fgetxattr(fd, name, value)
}

func (d kernel) listxattr(fd int, names []byte) (int, error) { return unix.Flistxattr(fd, names) }

// held sets the time to see what the filesystem makes of it.
func (d kernel) held(fd int, mtime unix.Timespec) (unix.Timespec, error) {
	if err := d.times(fd, mtime); err != nil {
		return unix.Timespec{}, err
	}
	st, err := d.fstat(fd)
	return st.Mtim, err
}

func (d kernel) free(fd int) (int64, error) {
	var fs unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(fd, &fs) }); err != nil {
		return 0, err
	}
	size := uint64(max(fs.Bsize, 1))
	return int64(min(fs.Bavail, math.MaxInt64/size) * size), nil
}
