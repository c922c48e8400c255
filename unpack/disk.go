// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"fmt"
	"iter"

	"golang.org/x/sys/unix"
)

// disk is where a layer is made. Its calls are the kernel's of those names,
// with the kernel's errors, each on a descriptor and one name: no path of the
// image's is ever given to a disk to walk.
type disk interface {
	reader
	maker
	attributes
	// free is the space in bytes on the filesystem of an open directory.
	free(fd int) (int64, error)
}

// reader is what tells what is there.
type reader interface {
	// openDir opens one name of a directory that is a directory itself.
	openDir(dir int, name string) (fd int, err error)
	// openBelow opens a directory by its path below root, with no symlink and
	// no mount on the way.
	openBelow(root int, path string) (fd int, err error)
	close(fd int) error
	fstat(fd int) (unix.Stat_t, error)
	// lstat looks at one name without following it.
	lstat(dir int, name string) (unix.Stat_t, error)
	readlink(dir int, name string) (string, error)
	// names are those in a directory; the one that was given may be removed.
	names(dir int) iter.Seq2[string, error]
	// marked is true for an empty file that has the extended attribute.
	marked(dir int, name, xattr string) (bool, error)
}

// maker is what makes and removes names.
type maker interface {
	mkdir(dir int, name string) error
	// create makes a new regular file, never opens one.
	create(dir int, name string) (fd int, err error)
	write(fd int, b []byte) error
	// writeBehind has a file begin to reach the device.
	writeBehind(fd int)
	symlink(target string, dir int, name string) error
	// link never follows a symlink.
	link(oldDir int, oldName string, newDir int, newName string) error
	mknod(dir int, name string, mode uint32, dev uint64) error
	unlink(dir int, name string, flags int) error
	// removeAll removes a directory with all that is in it.
	removeAll(dir int, name string) error
}

// attributes is what changes how things are.
type attributes interface {
	chown(fd int, uid, gid uint32) error
	lchown(dir int, name string, uid, gid uint32) error
	chmod(fd int, mode uint32) error
	// chmodNode sets the mode of what must not be opened.
	chmodNode(dir int, name string, mode uint32) error
	// times sets the modification time, and the access time with it.
	times(fd int, mtime unix.Timespec) error
	ltimes(dir int, name string, mtime unix.Timespec) error
	// held is what the filesystem makes of a time that it may not be able to
	// hold; that of the open file is lost.
	held(fd int, mtime unix.Timespec) (unix.Timespec, error)
	setxattr(fd int, name, value string) error
	getxattr(fd int, name string, value []byte) (int, error)
	listxattr(fd int, names []byte) (int, error)
	removexattr(fd int, name string) error
}

// failed names the operation and the path of an error of the disk.
func failed(verb, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb, quote(path), err)
}
