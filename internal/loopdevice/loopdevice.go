// SPDX-License-Identifier: Apache-2.0

// Package loopdevice makes loop devices of files, see loop(4).
package loopdevice

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Options are for one device. The zero value is a device that can be written to.
type Options struct {
	ReadOnly  bool
	Direct    bool   // reads and writes go past the page cache of the file
	BlockSize uint32 // in bytes; 0 is the kernel's own, 512
}

// Control opens what makes them.
func Control() (*os.File, error) { return os.Open("/dev/loop-control") }

// New makes a loop device of f, which ends when it is closed here and nothing is
// mounted from it.
func New(control, f *os.File, o Options) (*os.File, error) {
	config := unix.LoopConfig{Fd: uint32(f.Fd()), Size: o.BlockSize}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	flag := os.O_RDWR
	if o.ReadOnly {
		config.Info.Flags |= unix.LO_FLAGS_READ_ONLY
		flag = os.O_RDONLY
	}
	if o.Direct {
		config.Info.Flags |= unix.LO_FLAGS_DIRECT_IO
	}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], f.Name())
	// Another process may take the free one first.
	const tries = 100
	var last error
	for range tries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		d, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), flag, 0)
		if err != nil {
			return nil, err
		}
		if last = unix.IoctlLoopConfigure(int(d.Fd()), &config); last == nil {
			return d, nil
		}
		if err := d.Close(); err != nil || !errors.Is(last, unix.EBUSY) {
			return nil, errors.Join(last, err)
		}
	}
	return nil, last
}
