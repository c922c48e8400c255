// SPDX-License-Identifier: Apache-2.0

package layerdisk

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// RemoveAll removes the directory name of dir. It goes by descriptors only,
// one for each level, of which the depth of a layer is bounded.
func (d Kernel) RemoveAll(dir int, name string) (err error) {
	fd, err := openDir(dir, name)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	for {
		// A filesystem may skip names when others are removed between two
		// reads: so it is read from the start until nothing is left.
		n, err := d.removeEntries(f)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		if n == 0 {
			break
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return d.Unlink(dir, name, unix.AT_REMOVEDIR)
}

func (d Kernel) removeEntries(f *os.File) (n int, err error) {
	for {
		names, err := f.Readdirnames(256)
		for _, name := range names {
			if err := d.removeEntry(int(f.Fd()), name); err != nil {
				return n, err
			}
			n++
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func (d Kernel) removeEntry(dir int, name string) error {
	err := d.Unlink(dir, name, 0)
	if err == unix.EISDIR || err == unix.EPERM {
		return d.RemoveAll(dir, name)
	}
	return err
}
