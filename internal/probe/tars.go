// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Tars refuses a store of tars to who could never mount one: with
// [ErrUnsupported] to ordinary users, and on kernels before Linux 6.4, whose
// EROFS has no blocks of 512 bytes.
func Tars() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fmt.Errorf("ask for the kernel's release: %w", err)
	}
	return tarsOn(unix.ByteSliceToString(uts.Release[:]), os.Geteuid() == 0 && AllIDs())
}

func tarsOn(release string, root bool) error {
	switch {
	case !root:
		return fmt.Errorf("%w: layers as tars are for root, for no user may mount EROFS; a store of directories is for everybody", ErrUnsupported)
	case !isAtLeast(release, 6, 4):
		return fmt.Errorf("%w: layers as tars take Linux 6.4, and this is %s; a store of directories is for every kernel", ErrUnsupported, release)
	}
	return nil
}
