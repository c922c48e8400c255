// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// LockKind says who else may hold a lock.
type LockKind int

// The kinds of lock.
const (
	Shared    LockKind = unix.LOCK_SH
	Exclusive LockKind = unix.LOCK_EX
)

// maxPoll bounds the wait between two tries for a lock. flock(2) can wait by
// itself, but not for a context as well.
const maxPoll = 100 * time.Millisecond

// Lock takes the lock file name in dir, which is made when missing and never
// removed, and returns the function that gives it back. Locks hold between
// processes and between goroutines, and end with the process that took them
// (flock(2)). On a read-only filesystem the file is only opened to be read, and
// where it is missing there is nothing to lock. When another holder is in the way, waiting is called once,
// unless it is nil, and Lock waits until ctx is done.
func Lock(ctx context.Context, dir *os.File, name string, kind LockKind, waiting func()) (unlock func() error, err error) {
	f, err := openLock(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return unlocked, nil
	}
	if err := Flock(ctx, f, kind, waiting); err != nil {
		f.Close()
		return nil, err
	}
	return f.Close, nil
}

// TryLock is [Lock] without the wait: unlock is nil when another holder is in
// the way.
func TryLock(ctx context.Context, dir *os.File, name string, kind LockKind) (unlock func() error, err error) {
	f, err := openLock(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return unlocked, nil
	}
	locked, err := TryFlock(f, kind)
	if err != nil || !locked {
		f.Close()
		return nil, err
	}
	return f.Close, nil
}

func openLock(ctx context.Context, dir *os.File, name string) (*os.File, error) {
	if err := Fault(ctx, "open lock"); err != nil {
		return nil, err
	}
	path := filepath.Join(dir.Name(), name)
	// O_NONBLOCK: nothing that somebody put there can hold up the open.
	const flags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_CREAT|flags, 0o600)
	if err == unix.EROFS {
		fd, err = unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|flags, 0)
		if err == unix.ENOENT {
			return nil, nil // nobody can ever have taken it
		}
	}
	if err != nil {
		return nil, &os.PathError{Op: "open lock", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// unlocked gives back a lock that there is no need to take.
func unlocked() error { return nil }

// Flock is [TryFlock] with a wait until ctx is done. It calls waiting, unless that is
// nil, once where another open file is in the way.
func Flock(ctx context.Context, f *os.File, kind LockKind, waiting func()) error {
	for poll := time.Millisecond; ; poll = min(2*poll, maxPoll) {
		locked, err := TryFlock(f, kind)
		if err != nil || locked {
			return err
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(poll):
		}
	}
}

// TryFlock takes a flock(2) on f, a file or a directory, unless another open
// file has one that is in the way; then it is false. Closing f gives it back.
func TryFlock(f *os.File, kind LockKind) (bool, error) {
	for {
		switch err := unix.Flock(int(f.Fd()), int(kind)|unix.LOCK_NB); err {
		case nil:
			return true, nil
		case unix.EWOULDBLOCK:
			return false, nil
		case unix.EINTR:
		default:
			return false, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}
