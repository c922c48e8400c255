// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// TempPrefix starts the name of every file that [WriteFile] has not finished.
// A process that died leaves such a file behind; whoever owns the directory
// may remove it when nobody writes there.
const TempPrefix = ".tmp-"

// WriteFile makes name in dir hold data: a reader, also after a power cut,
// finds the old content or the new one and never a part. When it returns nil
// the new content is durable. On an error the old content stands, unless only
// the last step, the sync of dir, failed.
func WriteFile(ctx context.Context, dir *os.File, name string, data []byte, perm os.FileMode) error {
	temp := TempPrefix + rand.Text()
	if err := writeTemp(ctx, dir, temp, data, perm); err != nil {
		return err
	}
	if err := rename(ctx, "rename file", dir, temp, dir, name, 0); err != nil {
		return errors.Join(err, discard(dir, temp))
	}
	return SyncDir(ctx, dir)
}

func writeTemp(ctx context.Context, dir *os.File, temp string, data []byte, perm os.FileMode) (err error) {
	if err := Fault(ctx, "create file"); err != nil {
		return err
	}
	path := filepath.Join(dir.Name(), temp)
	fd, err := unix.Openat(int(dir.Fd()), temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm.Perm()))
	if err != nil {
		return &os.PathError{Op: "create", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, discard(dir, temp))
		}
	}()
	if err := Fault(ctx, "write file"); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return sync(ctx, "fsync file", f.Sync)
}

// discard is no fault point: cleaning up after one must not fail by the next.
func discard(dir *os.File, name string) error {
	err := unix.Unlinkat(int(dir.Fd()), name, 0)
	if err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "remove", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}
