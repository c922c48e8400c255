// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OpenDir opens the directory at path. It fails with ENOTDIR for anything
// else; a symbolic link at path is followed.
func OpenDir(path string) (*os.File, error) {
	return openDir(unix.AT_FDCWD, path, path, 0)
}

// OpenDirAt opens the directory name in dir, and does not follow a symbolic
// link there.
func OpenDirAt(dir *os.File, name string) (*os.File, error) {
	f, err := openDir(int(dir.Fd()), name, filepath.Join(dir.Name(), name), unix.O_NOFOLLOW)
	return f, err
}

func openDir(at int, name, path string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return os.NewFile(uintptr(fd), path), nil
	}
}

// Mkdir makes the directory name in dir. It is not durable before the next
// [SyncDir] of dir. An existing name is fs.ErrExist.
func Mkdir(ctx context.Context, dir *os.File, name string, perm os.FileMode) error {
	if err := Fault(ctx, "mkdir"); err != nil {
		return err
	}
	if err := unix.Mkdirat(int(dir.Fd()), name, uint32(perm.Perm())); err != nil {
		return &os.PathError{Op: "mkdir", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}

// MakeDirAt opens the directory name in dir, which is made where it is missing,
// and makes its name durable.
func MakeDirAt(ctx context.Context, dir *os.File, name string, perm os.FileMode) (*os.File, error) {
	err := Mkdir(ctx, dir, name, perm)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = SyncDir(ctx, dir)
	}
	if err != nil {
		return nil, err
	}
	return OpenDirAt(dir, name)
}

// OpenOrMakeDirAt is [OpenDirAt], and [MakeDirAt] where there is none yet.
func OpenOrMakeDirAt(ctx context.Context, dir *os.File, name string, perm os.FileMode) (*os.File, error) {
	f, err := OpenDirAt(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return MakeDirAt(ctx, dir, name, perm)
	}
	return f, err
}

// Remove unlinks the file name in dir. It is not durable before the next
// [SyncDir] of dir. A missing name is fs.ErrNotExist.
func Remove(ctx context.Context, dir *os.File, name string) error {
	if err := Fault(ctx, "remove"); err != nil {
		return err
	}
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil {
		return &os.PathError{Op: "remove", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}

// SyncDir makes the names in dir durable: what was made, renamed or removed
// there before the call is so after a power cut.
func SyncDir(ctx context.Context, dir *os.File) error {
	return sync(ctx, "fsync dir", dir.Sync)
}

// SyncFS writes back everything on the filesystem that holds dir and reports
// write errors that happened since dir was opened (Linux 5.8 or later,
// syncfs(2)): so open dir before the first byte is written. The kernel tells
// an open file about an error once; do not call SyncFS again to see whether
// it passes, but give up what was written.
func SyncFS(ctx context.Context, dir *os.File) error {
	return sync(ctx, "syncfs", func() error {
		if err := unix.Syncfs(int(dir.Fd())); err != nil {
			return fmt.Errorf("syncfs %s: %w", dir.Name(), err)
		}
		return nil
	})
}

// StartSyncFS is [SyncFS] that need not be waited for: dir may be closed meanwhile.
// Its outcome comes by the channel.
func StartSyncFS(ctx context.Context, dir *os.File) <-chan error {
	ended := make(chan error, 1)
	fd, err := unix.FcntlInt(dir.Fd(), unix.F_DUPFD_CLOEXEC, 0) // hears of the same errors
	if err != nil {
		ended <- fmt.Errorf("syncfs %s: %w", dir.Name(), err)
		return ended
	}
	own := os.NewFile(uintptr(fd), dir.Name())
	go func() {
		err := SyncFS(ctx, own)
		own.Close() // before anybody unmounts
		ended <- err
	}()
	return ended
}

// SyncFile makes the content of f, a regular file, durable.
func SyncFile(ctx context.Context, f *os.File) error {
	return sync(ctx, "fsync file", f.Sync)
}
