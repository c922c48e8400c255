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

// TempPrefix begins the name of every file that [WriteFile] has not finished. A
// process that is killed leaves such a file behind. It may be removed while nobody
// writes in the directory.
const TempPrefix = ".tmp-"

// WriteFile writes data to the file name in dir, which gets the mode perm, less the
// umask. A reader, also after a power cut, finds the old content or the new one, and
// never a part. When WriteFile returns nil the new content is durable. After an error
// the old content is still there, unless only the last step, the sync of dir, failed.
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

// discard removes a file. It is no fault point, because it cleans up after one.
func discard(dir *os.File, name string) error {
	err := unix.Unlinkat(int(dir.Fd()), name, 0)
	if err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "remove", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}
