// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// SpaceError says that the store's filesystem lacks room. It matches ENOSPC
// with errors.Is.
type SpaceError struct {
	Path   string // the store
	What   string // "bytes" or "inodes"
	Needed uint64
	Free   uint64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("the filesystem of %s has %d %s free and %d are needed at the least: prune the store, or use one on a larger filesystem", e.Path, e.Free, e.What, e.Needed)
}

// Unwrap says that it is a full disk.
func (e *SpaceError) Unwrap() error { return unix.ENOSPC }

// Room checks that the store's filesystem has so many bytes and inodes free
// for the caller, before the first is written. The error is a *SpaceError.
// Filesystems without a fixed number of inodes, such as btrfs, have room for
// any.
func (s *Store) Room(bytes, inodes uint64) error {
	free, files, limited, err := s.free()
	if err != nil {
		return err
	}
	if free < bytes {
		return &SpaceError{Path: s.path, What: "bytes", Needed: bytes, Free: free}
	}
	if limited && files < inodes {
		return &SpaceError{Path: s.path, What: "inodes", Needed: inodes, Free: files}
	}
	return nil
}

func (s *Store) free() (bytes, inodes uint64, limited bool, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(s.root.Fd()), &st); err != nil {
		return 0, 0, false, fmt.Errorf("ask for the free space of %s: %w", s.path, err)
	}
	return st.Bavail * uint64(st.Bsize), st.Ffree, st.Files > 0, nil
}

// nearlyFull is what a filesystem can still have free while it refuses a
// write: blocks that are reserved or promised to other files.
const nearlyFull = 1 << 20

// Explain adds to an error of a full store which of the things that look the
// same it is: disk full, no inodes, quota, or attributes too large for the
// filesystem. Other errors come back as they are.
func (s *Store) Explain(err error) error {
	var space *SpaceError
	if errors.As(err, &space) {
		return err
	}
	switch {
	case errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: the quota for this user on the filesystem of %s is used up", err, s.path)
	case !errors.Is(err, unix.ENOSPC):
		return err
	}
	free, inodes, limited, statErr := s.free()
	switch {
	case statErr != nil:
		return err
	case limited && inodes == 0:
		return fmt.Errorf("%w: the filesystem of %s has no inodes left (%d bytes are free)", err, s.path, free)
	case free < nearlyFull:
		return fmt.Errorf("%w: the filesystem of %s is full (%d bytes are free)", err, s.path, free)
	}
	return fmt.Errorf("%w: the filesystem of %s has room (%d bytes), so it is an extended attribute that is too large for it (ext4 keeps about one block of them for each file)", err, s.path, free)
}
