// SPDX-License-Identifier: Apache-2.0

package scratch

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	defaultReserve = 64 << 20
	between        = 16 << 20 // what is written between two looks at the free space
)

// Keeping writes to a file and keeps space free on its filesystem: a write that
// would leave less than Reserve is an ENOSPC.
type Keeping struct {
	File *os.File
	// Reserve is in bytes; 0 means 64 MiB, a negative number nothing.
	Reserve int64

	left int64 // may be written before the next look
}

// Write implements io.Writer.
func (k *Keeping) Write(p []byte) (int, error) {
	if k.left -= int64(len(p)); k.left < 0 {
		if err := k.look(int64(len(p))); err != nil {
			return 0, err
		}
	}
	return k.File.Write(p)
}

func (k *Keeping) look(n int64) error {
	reserve := max(k.Reserve, 0)
	if k.Reserve == 0 {
		reserve = defaultReserve
	}
	free, err := Free(k.File)
	if err != nil {
		return err
	}
	if free-reserve < n {
		return fmt.Errorf("write %d bytes to a temporary file: only %d are free, and %d are kept in reserve: %w", n, free, reserve, unix.ENOSPC)
	}
	k.left = min(between, free-reserve) - n
	return nil
}
