// SPDX-License-Identifier: Apache-2.0

package storedirs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
)

// Free is what the filesystem of root has free for the caller. Filesystems
// without a fixed number of inodes are not limited.
func Free(root *os.File) (bytes, inodes uint64, limited bool, err error) {
	space, err := fsat.Free(int(root.Fd()))
	if err != nil {
		return 0, 0, false, fmt.Errorf("ask for the free space of %s: %w", root.Name(), err)
	}
	return uint64(space.Bytes), space.Inodes, space.Limited, nil
}

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

// Room checks that the filesystem of root, the store at path, has so many bytes
// and inodes free for the caller. The error is a [*SpaceError].
func Room(root *os.File, path string, bytes, inodes uint64) error {
	free, files, limited, err := Free(root)
	if err != nil {
		return err
	}
	if free < bytes {
		return &SpaceError{Path: path, What: "bytes", Needed: bytes, Free: free}
	}
	if limited && files < inodes {
		return &SpaceError{Path: path, What: "inodes", Needed: inodes, Free: files}
	}
	return nil
}

// nearlyFull is what a filesystem can still have free while it refuses a
// write: blocks that are reserved or promised to other files.
const nearlyFull = 1 << 20

// Explain adds to an error of a full filesystem which of the things that look
// the same it is: disk full, no inodes, quota, or attributes too large for the
// filesystem. Other errors come back as they are.
func Explain(root *os.File, err error) error {
	switch {
	case errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: the quota for this user on the filesystem of %s is used up", err, root.Name())
	case !errors.Is(err, unix.ENOSPC):
		return err
	}
	free, inodes, limited, statErr := Free(root)
	switch {
	case statErr != nil:
		return err
	case limited && inodes == 0:
		return fmt.Errorf("%w: the filesystem of %s has no inodes left (%d bytes are free)", err, root.Name(), free)
	case free < nearlyFull:
		return fmt.Errorf("%w: the filesystem of %s is full (%d bytes are free)", err, root.Name(), free)
	}
	return fmt.Errorf("%w: the filesystem of %s has room (%d bytes), so it is an extended attribute that is too large for it (ext4 keeps about one block of them for each file)", err, root.Name(), free)
}
