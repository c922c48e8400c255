// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
)

// lastWriter is how many bytes in a lock file tell readers of a change
// (lastWriterIDSize in pkg/lockfile of containers/storage).
const lastWriter = 64

// maxPoll bounds the wait between two tries for a lock.
const maxPoll = 50 * time.Millisecond

func lockOf(list string) string { return strings.TrimSuffix(list, ".json") + ".lock" }

// lockRecords keeps all engines from reading the two lists until the returned
// function is called: for moments only. Engines take the one lock while they
// hold the other, in both orders. So it waits for neither while it has one.
func (s *Store) lockRecords(ctx context.Context) (unlock func() error, err error) {
	if err := durable.Fault(ctx, "lock records"); err != nil {
		return nil, err
	}
	images, err := openLockIn(s.root, imagesDir, imagesLock)
	if err != nil {
		return nil, err
	}
	layers, err := openLockIn(s.root, layersDir, layersLock)
	if err != nil {
		return nil, errors.Join(err, images.Close())
	}
	unlock = func() error { return errors.Join(layers.Close(), images.Close()) }
	for poll := time.Millisecond; ; poll = min(2*poll, maxPoll) {
		locked, err := lockBoth(images, layers)
		if err != nil {
			return nil, errors.Join(err, unlock())
		}
		if locked {
			return unlock, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for an engine that holds %s or %s: %w", imagesLock, layersLock, context.Cause(ctx)), unlock())
		case <-time.After(poll):
		}
	}
}

// lockBoth takes both locks or none.
func lockBoth(images, layers *os.File) (bool, error) {
	if locked, err := setLock(images, unix.F_WRLCK); err != nil || !locked {
		return false, err
	}
	locked, err := setLock(layers, unix.F_WRLCK)
	if err == nil && locked {
		return true, nil
	}
	_, free := setLock(images, unix.F_UNLCK)
	return false, errors.Join(err, free)
}

// setLock locks all of a file as containers/storage does, by fcntl(2), unless
// somebody is in the way. Closing the file gives the lock back.
func setLock(f *os.File, kind int16) (bool, error) {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Whence: unix.SEEK_SET})
	if err == unix.EAGAIN || err == unix.EACCES || err == unix.EINTR {
		return false, nil
	}
	if err != nil {
		return false, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return true, nil
}

// recordWrite tells readers that the list which the lock is for changes.
func recordWrite(ctx context.Context, dir *os.File, name string) error {
	if err := durable.Fault(ctx, "write "+name); err != nil {
		return err
	}
	f, err := openLock(dir, name)
	if err != nil {
		return err
	}
	var id [lastWriter / 2]byte
	rand.Read(id[:]) //nolint:errcheck // never fails
	_, err = f.WriteAt([]byte(hex.EncodeToString(id[:])), 0)
	return errors.Join(err, f.Close())
}

func openLockIn(root *os.File, dirName, name string) (*os.File, error) {
	dir, err := durable.OpenDirAt(root, dirName)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return openLock(dir, name)
}

func openLock(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
