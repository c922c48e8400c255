// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"errors"
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

// maxPoll bounds the wait between two tries for a lock. flock(2) could wait itself,
// but it would not end when a context is done.
const maxPoll = 100 * time.Millisecond

// Lock locks the file name in dir, by flock(2), and returns the function that unlocks
// it. It makes the file if it is missing, and never removes it. Locks hold between
// processes and between goroutines, and end with the process that took them. If
// another holder is in the way, Lock calls waiting once, unless that is nil, and waits
// until ctx is done. On a read-only filesystem it opens the file only for reading; if
// the file is missing there, nobody can have locked it, and Lock does nothing.
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
	return func() error { return Unlock(f) }, nil
}

// TryLock is [Lock] without the wait: if another holder is in the way, unlock and err
// are nil.
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
	return func() error { return Unlock(f) }, nil
}

func openLock(ctx context.Context, dir *os.File, name string) (*os.File, error) {
	if err := Fault(ctx, "open lock"); err != nil {
		return nil, err
	}
	path := filepath.Join(dir.Name(), name)
	// With O_NONBLOCK the open does not wait, whatever file somebody put there.
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

// unlocked unlocks a file that is missing on a read-only filesystem.
func unlocked() error { return nil }

// Flock is [TryFlock] with a wait until ctx is done. If another open file has a lock
// that is in the way, it calls waiting once, unless that is nil.
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

// Unlock releases the flock of f and closes f. Closing alone releases it only when
// every copy of the descriptor is closed, and a program that is being started has one
// until it runs.
func Unlock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_UN)
	if err != nil {
		err = &os.PathError{Op: "unlock", Path: f.Name(), Err: err}
	}
	return errors.Join(err, f.Close())
}

// TryFlock locks f, a file or a directory, by flock(2). It returns false if another
// open file has a lock that is in the way.
// [Unlock] unlocks it at once; closing f does so only when no program that is being
// started has a copy of the descriptor.
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
