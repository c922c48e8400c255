// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Attributes are the owner, the mode, the extended attributes and the times of a file.
type Attributes struct {
	UID, GID uint32
	// KeepOwner has SetAttributes ignore UID and GID.
	KeepOwner bool
	// Mode has the permissions and the bits for set-user-ID, set-group-ID and
	// sticky, 07777 at most. It is not set for a symbolic link.
	Mode   uint32
	Xattrs map[string]string
	// Access and Modified are the times of the last access and the last
	// modification; [OmitTime] leaves one as it is.
	Access, Modified unix.Timespec
}

// OmitTime returns the value that leaves a time as it is.
func OmitTime() unix.Timespec { return unix.Timespec{Nsec: unix.UTIME_OMIT} }

// SetAttributes sets the attributes of f, which may be of any type and opened with
// O_PATH. It sets the owner first, because that clears set-id bits and capabilities;
// then the extended attributes, because a mode may forbid to set them; then the mode,
// and last the times, which the other changes may alter.
//
// If the kernel refuses an extended attribute, refused decides: nil means to go on
// without it, and any other error ends SetAttributes. A nil refused passes the
// kernel's error on.
func SetAttributes(f *os.File, a Attributes, refused func(name string, err error) error) error {
	fd := int(f.Fd())
	if !a.KeepOwner {
		if err := ChownFD(fd, a.UID, a.GID); err != nil {
			return fmt.Errorf("chown %s to %d:%d: %w", f.Name(), a.UID, a.GID, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Xattrs)) {
		err := SetXattrFD(fd, name, a.Xattrs[name])
		if err != nil && refused != nil {
			err = refused(name, err)
		}
		if err != nil {
			return fmt.Errorf("set extended attribute %.200q of %s: %w", name, f.Name(), err)
		}
	}
	if err := ChmodFD(fd, a.Mode); err != nil {
		return &os.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	if err := SetTimesFD(fd, a.Access, a.Modified); err != nil {
		return &os.PathError{Op: "set times of", Path: f.Name(), Err: err}
	}
	return nil
}

// ReadAttributes reads the attributes of f, which may be opened with O_PATH.
// Extended attributes for which keep is false are left out; nil keeps all.
func ReadAttributes(f *os.File, keep func(name string) bool) (Attributes, unix.Stat_t, error) {
	st, err := Stat(f)
	if err != nil {
		return Attributes{}, st, err
	}
	xattrs, err := Xattrs(f, keep)
	return Attributes{
		UID: st.Uid, GID: st.Gid, Mode: st.Mode & 0o7777, Xattrs: xattrs, Access: st.Atim, Modified: st.Mtim,
	}, st, err
}

// ChownFD changes the owner of fd, which may be opened with O_PATH.
func ChownFD(fd int, uid, gid uint32) error {
	err := retry(func() error { return unix.Fchown(fd, int(uid), int(gid)) })
	if err == unix.EBADF {
		err = retry(func() error { return unix.Fchownat(fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH) })
	}
	return err
}

// ChmodFD changes the mode of fd, which may be opened with O_PATH. For a
// symbolic link it does nothing.
func ChmodFD(fd int, mode uint32) error {
	err := retry(func() error { return unix.Fchmod(fd, mode) })
	if err != unix.EBADF {
		return err
	}
	st, err := StatFD(fd)
	if err != nil || st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return err
	}
	return retry(func() error { return unix.Chmod(procPath(fd), mode) })
}

// ChmodAtFD changes the mode of name in dir without opening it: an open of a
// FIFO would wait, and one of a device would start its driver. For a symbolic
// link it does nothing.
func ChmodAtFD(dir int, name string, mode uint32) error {
	fd, err := findFD(dir, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // O_PATH
	return ChmodFD(fd, mode)
}

// SetTimesFD sets the times of access and modification of fd, which may be
// opened with O_PATH.
func SetTimesFD(fd int, access, modified unix.Timespec) error {
	ts := [2]unix.Timespec{access, modified}
	err := retry(func() error {
		// A nil path is futimens(3), which every kernel has.
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
	if err == unix.EBADF { // O_PATH; AT_EMPTY_PATH would need Linux 5.8
		err = retry(func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(fd), ts[:], 0) })
	}
	return err
}
