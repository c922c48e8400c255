// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"math"

	"golang.org/x/sys/unix"
)

// Space is the free space of a filesystem, without the blocks reserved for root.
type Space struct {
	Bytes  int64
	Inodes uint64
	// Limited is true if the filesystem has a fixed number of inodes; btrfs does not.
	Limited bool
}

// Free returns the free space of the filesystem that a descriptor is on (statfs(2)).
func Free(fd int) (Space, error) {
	var fs unix.Statfs_t
	for {
		if err := unix.Fstatfs(fd, &fs); err == unix.EINTR {
			continue
		} else if err != nil {
			return Space{}, err
		}
		break
	}
	size := uint64(max(fs.Bsize, 1))
	return Space{int64(min(fs.Bavail, math.MaxInt64/size) * size), fs.Ffree, fs.Files > 0}, nil
}
