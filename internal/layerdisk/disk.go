// SPDX-License-Identifier: Apache-2.0

package layerdisk

import (
	"iter"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is where a layer is made. Its calls are the kernel's of those names,
// with the kernel's errors, each on a descriptor and one name: no path of the
// image's is ever given to a disk to walk.
type Disk interface {
	reader
	maker
	attributes
	// Free is the space in bytes on the filesystem of an open directory.
	Free(fd int) (int64, error)
}

// reader is what tells what is there.
type reader interface {
	// OpenDir opens one name of a directory that is a directory itself.
	OpenDir(dir int, name string) (fd int, err error)
	// OpenBelow opens a directory by its path below root, with no symlink and
	// no mount on the way.
	OpenBelow(root int, path string) (fd int, err error)
	Close(fd int) error
	Fstat(fd int) (unix.Stat_t, error)
	// Lstat looks at one name without following it.
	Lstat(dir int, name string) (unix.Stat_t, error)
	Readlink(dir int, name string) (string, error)
	// Names are those in a directory; the one that was given may be removed.
	Names(dir int) iter.Seq2[string, error]
	// HasXattr is true for an empty file that has the extended attribute.
	HasXattr(dir int, name, xattr string) (bool, error)
}

// maker is what makes and removes names.
type maker interface {
	Mkdir(dir int, name string) error
	// Create makes a new regular file, never opens one.
	Create(dir int, name string) (fd int, err error)
	Write(fd int, b []byte) error
	// WriteHole has n zeros follow what was written, without any data.
	WriteHole(fd int, n int64) error
	// WriteBehind has a file begin to reach the device.
	WriteBehind(fd int)
	Symlink(target string, dir int, name string) error
	// Link never follows a symlink.
	Link(oldDir int, oldName string, newDir int, newName string) error
	Mknod(dir int, name string, mode uint32, dev uint64) error
	Unlink(dir int, name string, flags int) error
	// RemoveAll removes a directory with all that is in it.
	RemoveAll(dir int, name string) error
}

// attributes is what changes how things are.
type attributes interface {
	Chown(fd int, uid, gid uint32) error
	Lchown(dir int, name string, uid, gid uint32) error
	Chmod(fd int, mode uint32) error
	// ChmodNode sets the mode of what must not be opened.
	ChmodNode(dir int, name string, mode uint32) error
	// SetTimes sets the modification time, and the access time with it.
	SetTimes(fd int, mtime unix.Timespec) error
	SetTimesAt(dir int, name string, mtime unix.Timespec) error
	// StoredTime is what the filesystem makes of a time that it may not be able to
	// hold; that of the open file is lost.
	StoredTime(fd int, mtime unix.Timespec) (unix.Timespec, error)
	Setxattr(fd int, name, value string) error
	Getxattr(fd int, name string, value []byte) (int, error)
	Listxattr(fd int, names []byte) (int, error)
	Removexattr(fd int, name string) error
}

// Timespec is t for a disk; unix.Timespec has 32-bit fields on some machines.
func Timespec(t time.Time) (ts unix.Timespec) {
	setInt(&ts.Sec, t.Unix())
	setInt(&ts.Nsec, int64(t.Nanosecond()))
	return ts
}

func setInt[T int32 | int64](to *T, n int64) { *to = T(n) }
