// SPDX-License-Identifier: Apache-2.0

package layerdisk

import (
	"errors"
	"io"
	"iter"
	"os"

	"github.com/layerctl/layerctl/internal/fsat"
	"golang.org/x/sys/unix"
)

// Kernel is the disk of this machine.
type Kernel struct {
	fault func(op string) error
}

// NewKernel is a disk that asks fault before each call that changes something;
// where fault returns an error, that is the call's.
func NewKernel(fault func(op string) error) Kernel { return Kernel{fault} }

// again repeats a call that a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// do makes a system call that changes something.
func (d Kernel) do(op string, call func() error) error {
	if err := d.fault(op); err != nil {
		return err
	}
	return again(call)
}

func (d Kernel) Mkdir(dir int, name string) error {
	return d.do("mkdir", func() error { return unix.Mkdirat(dir, name, 0o700) })
}

// Create makes a new regular file. O_EXCL and O_NOFOLLOW: whatever stands at
// the name, a hardlink or a symlink to somewhere else, is never written into.
func (d Kernel) Create(dir int, name string) (fd int, err error) {
	if err := d.fault("create"); err != nil {
		return -1, err
	}
	return fsat.CreateFD(dir, name, 0o600)
}

func (d Kernel) Write(fd int, b []byte) error {
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

// Reopen opens a regular file of one name, to write on behind its first size
// bytes, which are read; what comes after them goes. It is ESTALE for what is none,
// or shorter.
func (d Kernel) Reopen(dir int, name string, size int64, read func([]byte)) (int, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, errors.Join(unix.ESTALE, err)
	}
	st, err := fsat.StatFD(fd)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || st.Size < size) {
		err = unix.ESTALE
	}
	if err == nil {
		err = d.do("write", func() error { return unix.Ftruncate(fd, size) })
	}
	b := make([]byte, 64<<10)
	for left := size; left > 0 && err == nil; {
		var n int
		n, err = unix.Read(fd, b[:min(int64(len(b)), left)])
		if n == 0 && err == nil {
			err = unix.ESTALE
		}
		read(b[:max(n, 0)])
		left -= int64(max(n, 0))
		if err == unix.EINTR {
			err = nil
		}
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// WriteHole goes over n bytes, and makes the file as long as that.
func (d Kernel) WriteHole(fd int, n int64) error {
	end, err := unix.Seek(fd, n, io.SeekCurrent)
	if err != nil {
		return err
	}
	return d.do("write", func() error { return unix.Ftruncate(fd, end) })
}

// WriteBehind has the kernel begin to write a file to the device. It is a hint
// without an error: what cannot be written the sync will say.
func (d Kernel) WriteBehind(fd int) {
	_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

func (d Kernel) Symlink(target string, dir int, name string) error {
	return d.do("symlink", func() error { return unix.Symlinkat(target, dir, name) })
}

// Link never follows a symlink: flag 0 links the symlink itself.
func (d Kernel) Link(oldDir int, oldName string, newDir int, newName string) error {
	return d.do("link", func() error { return unix.Linkat(oldDir, oldName, newDir, newName, 0) })
}

func (d Kernel) Mknod(dir int, name string, mode uint32, dev uint64) error {
	return d.do("mknod", func() error { return unix.Mknodat(dir, name, mode, int(dev)) })
}

func (d Kernel) Unlink(dir int, name string, flags int) error {
	return d.do("unlink", func() error { return unix.Unlinkat(dir, name, flags) })
}

func (d Kernel) Chown(fd int, uid, gid uint32) error {
	return d.do("chown", func() error { return fsat.ChownFD(fd, uid, gid) })
}

func (d Kernel) Lchown(dir int, name string, uid, gid uint32) error {
	return d.do("chown", func() error {
		return unix.Fchownat(dir, name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (d Kernel) Chmod(fd int, mode uint32) error {
	return d.do("chmod", func() error { return fsat.ChmodFD(fd, mode) })
}

// ChmodNode sets the mode of a node, which must not be opened: a FIFO would
// block and a device would start its driver.
func (d Kernel) ChmodNode(dir int, name string, mode uint32) error {
	return d.do("chmod", func() error { return fsat.ChmodAtFD(dir, name, mode) })
}

// SetTimes sets the modification time of an open file, and its access time with
// it, so that a layer is the same on each machine.
func (d Kernel) SetTimes(fd int, mtime unix.Timespec) error {
	return d.do("utimes", func() error { return fsat.SetTimesFD(fd, mtime, mtime) })
}

func (d Kernel) SetTimesAt(dir int, name string, mtime unix.Timespec) error {
	return d.do("utimes", func() error {
		return unix.UtimesNanoAt(dir, name, []unix.Timespec{mtime, mtime}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (d Kernel) Setxattr(fd int, name, value string) error {
	return d.do("setxattr", func() error { return fsat.SetXattrFD(fd, name, value) })
}

func (d Kernel) Removexattr(fd int, name string) error {
	return d.do("removexattr", func() error { return unix.Fremovexattr(fd, name) })
}

func (d Kernel) Close(fd int) error {
	if err := d.fault("close"); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	return unix.Close(fd) // never again after EINTR: Linux has closed it
}

// OpenDir opens one name of a directory that is a directory itself.
func (d Kernel) OpenDir(dir int, name string) (fd int, err error) { return fsat.OpenDirFD(dir, name) }

// OpenBelow opens a directory by its path below root, with no symlink and no
// mount on the way.
func (d Kernel) OpenBelow(root int, path string) (fd int, err error) {
	return fsat.OpenDirFD(root, path)
}

func (d Kernel) Lstat(dir int, name string) (st unix.Stat_t, err error) {
	return fsat.LstatFD(dir, name)
}

func (d Kernel) Fstat(fd int) (st unix.Stat_t, err error) {
	return fsat.StatFD(fd)
}

func (d Kernel) Readlink(dir int, name string) (string, error) {
	b := make([]byte, pathMax)
	n, err := unix.Readlinkat(dir, name, b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

func (d Kernel) Names(dir int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		fd, err := fsat.OpenDirFD(dir, ".")
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

// HasXattr opens the file, so of what has no whiteout's mode it says no.
func (d Kernel) HasXattr(dir int, name, xattr string) (bool, error) {
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

func (d Kernel) Getxattr(fd int, name string, value []byte) (int, error) {
	return unix.Fgetxattr(fd, name, value)
}

func (d Kernel) Listxattr(fd int, names []byte) (int, error) { return unix.Flistxattr(fd, names) }

// StoredTime sets the time to see what the filesystem makes of it.
func (d Kernel) StoredTime(fd int, mtime unix.Timespec) (unix.Timespec, error) {
	if err := d.SetTimes(fd, mtime); err != nil {
		return unix.Timespec{}, err
	}
	st, err := d.Fstat(fd)
	return st.Mtim, err
}

func (d Kernel) Free(fd int) (int64, error) {
	space, err := fsat.Free(fd)
	return space.Bytes, err
}

// RemoveAll removes the directory name of dir.
func (d Kernel) RemoveAll(dir int, name string) error {
	return fsat.RemoveAllFD(dir, name, func() error { return d.fault("unlink") })
}
