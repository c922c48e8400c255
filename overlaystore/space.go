// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"errors"
	"fmt"

	"github.com/layerctl/layerctl/internal/storedirs"
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
	free, files, limited, err := storedirs.Free(s.root)
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

// Free is how many bytes the store's filesystem has free for the caller.
func (s *Store) Free() (uint64, error) {
	free, _, _, err := storedirs.Free(s.root)
	return free, err
}

// Explain adds to an error of a full store which of the things that look the
// same it is: disk full, no inodes, quota, or attributes too large for the
// filesystem. Other errors come back as they are.
func (s *Store) Explain(err error) error {
	var space *SpaceError
	if errors.As(err, &space) {
		return err
	}
	return storedirs.Explain(s.root, err)
}
