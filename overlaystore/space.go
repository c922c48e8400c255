// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"errors"

	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/tarlayer"
)

// SpaceError says that the store's filesystem lacks room. It matches ENOSPC
// with errors.Is.
type SpaceError = storedirs.SpaceError

// Room checks that the store's filesystem has so many bytes and inodes free for
// the caller; else the error is a *SpaceError. A filesystem without a fixed number
// of inodes, such as btrfs, has room for any number.
func (s *Store) Room(bytes, inodes uint64) error {
	return storedirs.Room(s.root, s.path, bytes, inodes)
}

// tarOptions say how the tar of a layer is written.
func (s *Store) tarOptions() tarlayer.WriterOptions {
	return tarlayer.WriterOptions{
		Room: func(bytes uint64) error { return s.Room(bytes+s.reserve, 0) },
		Lazy: s.noSync,
	}
}

// Free is how many bytes the store's filesystem has free for the caller.
func (s *Store) Free() (uint64, error) {
	free, _, _, err := storedirs.Free(s.root)
	return free, err
}

// Explain adds its cause to an error that says that the disk is full: no free
// bytes, no free inodes, a quota, or attributes too large for the filesystem.
// Other errors are returned as they are.
func (s *Store) Explain(err error) error {
	var space *SpaceError
	if errors.As(err, &space) {
		return err
	}
	return storedirs.Explain(s.root, err)
}
