// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/erofsfuse"
	"github.com/layerctl/layerctl/internal/mounts"
)

// Tars refuses a store of tars to who could never mount one, with
// [ErrUnsupported]: ordinary users, and everybody on kernels before Linux 6.4, whose
// EROFS has no blocks of 512 bytes, unless erofsfuse is there.
func Tars(ctx context.Context) error {
	err := kernelTars()
	if err == nil {
		return nil
	}
	if _, without := erofsfuse.Find(ctx); without != nil {
		return fmt.Errorf("%w: %w; a store of directories is for everybody", err, without)
	}
	return nil
}

// KernelTars returns why the kernel mounts no layers as tars for this process, or nil; it
// does not consider erofsfuse. Of other faults the error of the mount itself tells more.
func KernelTars() error {
	if err := kernelTars(); err != nil {
		return err
	}
	c, err := mounts.OpenContext(mounts.EROFSType)
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: this kernel has no EROFS (modprobe erofs): %w", ErrUnsupported, err)
	case err != nil:
		return nil
	}
	return c.Close()
}

func kernelTars() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fmt.Errorf("ask for the kernel's release: %w", err)
	}
	return tarsOn(unix.ByteSliceToString(uts.Release[:]), os.Geteuid() == 0 && AllIDs())
}

func tarsOn(release string, root bool) error {
	switch {
	case !root:
		return fmt.Errorf("%w: layers as tars are for root, for the kernel lets no user mount EROFS, or for who has the program erofsfuse", ErrUnsupported)
	case !isAtLeast(release, 6, 4):
		return fmt.Errorf("%w: layers as tars take Linux 6.4, and this is %s, or the program erofsfuse", ErrUnsupported, release)
	}
	return nil
}
