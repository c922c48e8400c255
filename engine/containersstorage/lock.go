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
// function is called: for moments only. The order of the locks is the engines'.
func (s *Store) lockRecords(ctx context.Context) (unlock func() error, err error) {
	images, err := lock(ctx, s.root, imagesDir, imagesLock)
	if err != nil {
		return nil, err
	}
	layers, err := lock(ctx, s.root, layersDir, layersLock)
	if err != nil {
		return nil, errors.Join(err, images.Close())
	}
	return func() error { return errors.Join(layers.Close(), images.Close()) }, nil
}

// lock takes a lock file as containers/storage does, by fcntl(2) on all of it,
// and gives it back when the file is closed.
func lock(ctx context.Context, root *os.File, dirName, name string) (*os.File, error) {
	if err := durable.Fault(ctx, "lock "+name); err != nil {
		return nil, err
	}
	dir, err := durable.OpenDirAt(root, dirName)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := openLock(dir, name)
	if err != nil {
		return nil, err
	}
	for poll := time.Millisecond; ; poll = min(2*poll, maxPoll) {
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET})
		if err == nil {
			return f, nil
		}
		if err != unix.EAGAIN && err != unix.EACCES && err != unix.EINTR {
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: name, Err: err}
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for %s, which an engine holds: %w", name, context.Cause(ctx))
		case <-time.After(poll):
		}
	}
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

func openLock(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
