// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"os"
	stdsync "sync"
	"sync/atomic"
)

// Syncs are the syncs of one filesystem that several goroutines ask for while all
// go on writing. One runs at a time, and all who ask meanwhile share the next one:
// for each syncfs(2) the kernel goes over everything that is dirty, one after the
// other.
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

// Sync is [SyncFS], by a sync that begins after the call. When one has failed, all
// later calls fail too: the kernel reports an error once. A
// sync that has begun is waited for also when ctx ends, for its error must not be lost.
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

// Close closes the directory, and waits for no sync. Later ones fail.
func (s *Syncs) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.dir.Close()
}
