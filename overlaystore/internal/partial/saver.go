// SPDX-License-Identifier: Apache-2.0

package partial

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
)

// syncShare is how many times as long as the last sync took the next one waits.
const syncShare = 50

// Saver writes the checkpoints of one layer.
type Saver struct {
	Dir    *os.File // of the layer
	Sync   bool     // whether a power cut counts
	number uint64
	due    time.Time // of the first sync
	last   []byte    // the checkpoint that was made last
	under  *syncing  // the sync that began last

	writing sync.Mutex // held while a durable checkpoint is written
	left    bool       // there shall be none any more
}

// syncing is one sync, in the background. Behind ended stands what came of it.
type syncing struct {
	number uint64 // of the checkpoint
	ended  chan struct{}
	err    error
	due    time.Time // of the next
}

// Save writes a checkpoint, and has it synced so long after the first one, or after
// the last sync, at least. Its error may be of an earlier sync: then nobody knows
// what of the layer is on the disk.
func (s *Saver) Save(ctx context.Context, after time.Duration, c *Checkpoint) error {
	if s.due.IsZero() {
		s.due = time.Now().Add(after)
	}
	s.number++
	c.Number = s.number
	raw, err := c.encode()
	if err != nil {
		return err
	}
	if err := s.write(ctx, unsyncedNames[s.number%2], raw); err != nil {
		return err
	}
	s.last = raw
	due := s.due
	if s.under != nil {
		select {
		case <-s.under.ended:
			err, due = s.under.err, s.under.due
		default:
			return nil
		}
	}
	if err == nil && s.Sync && !time.Now().Before(due) {
		s.start(context.WithoutCancel(ctx), after)
	}
	return err
}

// write writes over what the file held.
func (s *Saver) write(ctx context.Context, name string, raw []byte) error {
	if err := durable.Fault(ctx, "write checkpoint"); err != nil {
		return err
	}
	fd, err := unix.Openat(int(s.Dir.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}

// start makes the last checkpoint durable, after all that it speaks of. The next one
// follows so long after that at least.
func (s *Saver) start(ctx context.Context, after time.Duration) {
	u := &syncing{number: s.number, ended: make(chan struct{})}
	s.under = u
	raw, begun, synced := s.last, time.Now(), durable.StartSyncFS(ctx, s.Dir)
	go func() {
		defer close(u.ended)
		u.err = <-synced
		s.writing.Lock()
		defer s.writing.Unlock()
		if u.err == nil && !s.left {
			u.err = durable.WriteFile(ctx, s.Dir, durableName, raw, 0o600)
		}
		u.due = time.Now().Add(max(after, syncShare*time.Since(begun)))
	}()
}

// Settle makes the last checkpoint durable, when the process will not go on, if that
// is done before ctx ends; else the one stays that was durable before. Of two syncs
// the one that comes later would not hear of an error, so none begins beside another.
func (s *Saver) Settle(ctx context.Context) error {
	for {
		if s.under != nil {
			select {
			case <-s.under.ended:
			case <-ctx.Done():
				s.writing.Lock()
				defer s.writing.Unlock()
				s.left = true
				return nil
			}
			if s.under.err != nil || s.under.number == s.number {
				return s.under.err
			}
		}
		if s.last == nil || !s.Sync {
			return nil
		}
		s.start(context.WithoutCancel(ctx), 0)
	}
}

// wait waits for the sync that is under way, unless that was left, or ctx ends.
func (s *Saver) wait(ctx context.Context) error {
	if s.under == nil || s.left {
		return nil
	}
	select {
	case <-s.under.ended:
		return s.under.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// End removes the checkpoints of a layer that is whole.
func (s *Saver) End(ctx context.Context) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	for _, name := range []string{durableName, unsyncedNames[0], unsyncedNames[1]} {
		if err := durable.Remove(ctx, s.Dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
