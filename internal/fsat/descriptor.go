// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"strings"

	"golang.org/x/sys/unix"
)

const (
	findFlags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	dirFlags  = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
)

// findFD is [Find] with descriptors.
func findFD(dir int, path string) (int, error) { return openBelow(dir, path, findFlags) }

// OpenDirFD is [OpenDir] with descriptors. By O_DIRECTORY the kernel checks the type
// before it opens anything.
func OpenDirFD(dir int, path string) (int, error) { return openBelow(dir, path, dirFlags) }

// CreateFD is [Create] with descriptors.
func CreateFD(dir int, name string, perm uint32) (int, error) {
	if err := checkName(name); err != nil {
		return -1, err
	}
	return openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
}

// StatFD is fstat(2).
func StatFD(fd int) (st unix.Stat_t, err error) {
	err = retry(func() error { return unix.Fstat(fd, &st) })
	return st, err
}

// LstatFD is lstat(2) of name in dir.
func LstatFD(dir int, name string) (st unix.Stat_t, err error) {
	err = retry(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// openBelow opens path below dir by openat2(2), or name by name where there is none.
func openBelow(dir int, path string, flags int) (int, error) {
	if err := checkPath(path); err != nil {
		return -1, err
	}
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for range 100 {
		fd, err := unix.Openat2(dir, path, &how)
		switch err {
		case nil:
			return fd, nil
		case unix.EINTR, unix.EAGAIN: // EAGAIN: a rename or a mount elsewhere raced with the walk
		case unix.ENOSYS, unix.EPERM, unix.ENAMETOOLONG:
			return walkBelow(dir, path, flags)
		default:
			return -1, err
		}
	}
	return walkBelow(dir, path, flags)
}

// walkBelow is openBelow with one openat(2) for each name: for kernels before
// 5.6, for sandboxes that forbid openat2, and for paths longer than PATH_MAX.
func walkBelow(dir int, path string, flags int) (int, error) {
	mount, err := mountID(dir)
	if err != nil {
		return -1, err
	}
	at, err := openat(dir, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		how := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if i == len(parts)-1 {
			how = flags
		}
		next, err := openat(at, part, how, 0)
		_ = unix.Close(at) // O_PATH: there is nothing that could fail
		if err != nil {
			return -1, err
		}
		if at = next; part == "." {
			continue
		}
		if got, err := mountID(at); err != nil || got != mount {
			_ = unix.Close(at)
			if err == nil {
				err = unix.EXDEV
			}
			return -1, err
		}
	}
	return at, nil
}

// checkPath refuses paths that openat2(2) and walkBelow would treat differently.
func checkPath(path string) error {
	if strings.HasPrefix(path, "/") {
		return unix.EXDEV
	}
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "":
			return unix.ENOENT
		case "..":
			return unix.EXDEV
		}
	}
	return nil
}

// checkName refuses a name that is no name of a file in a directory.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return unix.EINVAL
	}
	return nil
}

func openat(dir int, path string, flags int, perm uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dir, path, flags, perm)
		return err
	})
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// retry repeats a call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
