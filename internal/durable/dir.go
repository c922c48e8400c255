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

// OpenDir opens the directory at path. It follows symbolic links, also at the end. For
// anything that is no directory the error is unix.ENOTDIR.
func OpenDir(path string) (*os.File, error) {
	return openDir(unix.AT_FDCWD, path, path, 0)
}

// OpenDirAt opens the directory name in dir. It does not follow a symbolic link.
func OpenDirAt(dir *os.File, name string) (*os.File, error) {
	return openDir(int(dir.Fd()), name, filepath.Join(dir.Name(), name), unix.O_NOFOLLOW)
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

// Mkdir makes the directory name in dir. It is not durable before the next [SyncDir]
// of dir. If the name exists the error is fs.ErrExist.
func Mkdir(ctx context.Context, dir *os.File, name string, perm os.FileMode) error {
	if err := Fault(ctx, "mkdir"); err != nil {
		return err
	}
	if err := unix.Mkdirat(int(dir.Fd()), name, uint32(perm.Perm())); err != nil {
		return &os.PathError{Op: "mkdir", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}

// MakeDirAt makes the directory name in dir unless it exists, makes its name durable,
// and opens it.
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

// OpenOrMakeDirAt is [OpenDirAt], or [MakeDirAt] if the directory does not exist.
func OpenOrMakeDirAt(ctx context.Context, dir *os.File, name string, perm os.FileMode) (*os.File, error) {
	f, err := OpenDirAt(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return MakeDirAt(ctx, dir, name, perm)
	}
	return f, err
}

// Remove unlinks the file name in dir. That is not durable before the next [SyncDir]
// of dir. If the name is missing the error is fs.ErrNotExist.
func Remove(ctx context.Context, dir *os.File, name string) error {
	if err := Fault(ctx, "remove"); err != nil {
		return err
	}
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil {
		return &os.PathError{Op: "remove", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}

// SyncDir makes the names in dir durable: a name that was made, renamed or removed
// before the call stays so after a power cut.
func SyncDir(ctx context.Context, dir *os.File) error {
	return sync(ctx, "fsync dir", dir.Sync)
}

// SyncFS writes back everything on the filesystem that holds dir, by syncfs(2). From
// Linux 5.8 on it reports write errors that happened since dir was opened, so open dir
// before the first byte is written. The kernel reports an error to an open file only
// once: after an error do not call SyncFS again, but give up what was written.
func SyncFS(ctx context.Context, dir *os.File) error {
	return sync(ctx, "syncfs", func() error {
		if err := unix.Syncfs(int(dir.Fd())); err != nil {
			return fmt.Errorf("syncfs %s: %w", dir.Name(), err)
		}
		return nil
	})
}

// StartSyncFS runs [SyncFS] in the background. The channel gets its error, or nil. dir
// may be closed meanwhile.
func StartSyncFS(ctx context.Context, dir *os.File) <-chan error {
	ended := make(chan error, 1)
	fd, err := unix.FcntlInt(dir.Fd(), unix.F_DUPFD_CLOEXEC, 0) // gets the errors since dir was opened
	if err != nil {
		ended <- fmt.Errorf("syncfs %s: %w", dir.Name(), err)
		return ended
	}
	own := os.NewFile(uintptr(fd), dir.Name())
	go func() {
		err := SyncFS(ctx, own)
		own.Close() // before the receiver of the channel unmounts the filesystem
		ended <- err
	}()
	return ended
}

// SyncFile makes the content of f, a regular file, durable.
func SyncFile(ctx context.Context, f *os.File) error {
	return sync(ctx, "fsync file", f.Sync)
}
