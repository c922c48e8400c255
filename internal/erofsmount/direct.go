// SPDX-License-Identifier: Apache-2.0

package erofsmount

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// blockSize is what a file's content begins at a multiple of.
const blockSize = 512

// ErrUndirected is what direct reads are refused for.
var ErrUndirected = errors.New("direct reads of blocks of 512 bytes do not work on the filesystem of the store")

// scarce is less memory than what lets the page cache hold files twice: as the
// pages of a mount, and as those of the file that they come from, which nobody
// needs any more. Direct reads leave out the second, and reading a file for the
// first time takes up to twice as long.
const scarce = 1 << 30

// direct decides how the index and its devices, which are on one filesystem, are
// read.
func (o Options) direct(root *os.File, index string) (bool, error) {
	if !o.Direct && o.memory() >= scarce {
		return false, nil
	}
	var st unix.Statx_t
	err := unix.Statx(int(root.Fd()), index, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_DIOALIGN, &st)
	if err != nil && o.Direct {
		return false, &os.PathError{Op: "statx", Path: index, Err: err}
	}
	// What an unaligned read would be told is an error where the file is read.
	can := err == nil && st.Mask&unix.STATX_DIOALIGN != 0 && st.Dio_offset_align != 0 && st.Dio_offset_align <= blockSize
	if !can && o.Direct {
		return false, ErrUndirected
	}
	return can, nil
}

// memory is what the machine has, in bytes.
func (o Options) memory() uint64 {
	if o.Memory != 0 {
		return o.Memory
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return scarce
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}
