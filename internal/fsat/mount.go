// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountID returns the number of the mount that an open file is on: by statx(2) from
// Linux 5.8 on, by /proc before.
func mountID(fd int) (uint64, error) {
	var stx unix.Statx_t
	err := retry(func() error { return unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &stx) })
	if err == nil && stx.Mask&unix.STATX_MNT_ID != 0 {
		return stx.Mnt_id, nil
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(info)) {
		if value, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, unix.ENOSYS
}

// procPath returns a path that leads to the file that fd is, also if that is a
// symbolic link.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
