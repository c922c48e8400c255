// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"os"
	stdsync "sync"
	"sync/atomic"
)

// Syncs syncs one filesystem for several goroutines that go on writing. One sync runs
// at a time; all callers that come meanwhile share the next one, because each
// syncfs(2) goes over everything on the filesystem that is dirty.
type Syncs struct {
	dir   *os.File
	turn  chan struct{} // holds one value while a sync runs; guards err
	begun atomic.Int64
	err   error

	mu     stdsync.Mutex
	closed bool
}

// NewSyncs returns the syncs of the filesystem that holds dir. The caller opens dir
// before the first byte is written; Close closes it.
func NewSyncs(dir *os.File) *Syncs { return &Syncs{dir: dir, turn: make(chan struct{}, 1)} }

// Sync is [SyncFS], by a sync that begins after the call. After one that failed all
// later calls fail too, because the kernel reports an error only once. Sync waits for
// a sync that it has begun even if ctx ends, because its error must not be lost.
func (s *Syncs) Sync(ctx context.Context) error {
	before := s.begun.Load()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	if s.err != nil || s.begun.Load() > before { // another caller's sync, which has ended
		return s.err
	}
	s.begun.Add(1)
	s.err = <-s.start(ctx)
	return s.err
}

func (s *Syncs) start(ctx context.Context) <-chan error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		ended := make(chan error, 1)
		ended <- os.ErrClosed
		return ended
	}
	return StartSyncFS(ctx, s.dir)
}

// Close closes the directory, and does not wait for a sync that runs. Later ones fail
// with os.ErrClosed.
func (s *Syncs) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.dir.Close()
}
