// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"math"

	"golang.org/x/sys/unix"
)

// Space is what a filesystem still takes of the caller, who may be no root: what
// is reserved for root is left out.
type Space struct {
	Bytes  int64
	Inodes uint64
	// Limited says that there is a fixed number of inodes; btrfs has none.
	Limited bool
}

// Free asks for the space of the filesystem that a descriptor is on (statfs(2)).
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
