// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/leases"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Lease keeps layers from being pruned while a process works with them,
// whether they are in the store yet or not. It ends with Release and with the
// process.
type Lease struct {
	store *Store
	name  string
	f     *os.File
}

// Lease keeps the layers until it is released. what tells people the reason. Take a
// lease before looking which layers exist, and release it after [Store.Tag].
func (s *Store) Lease(ctx context.Context, what string, layers ...digest.Digest) (*Lease, error) {
	l, err := s.lease(ctx, leases.Record{What: what, PID: os.Getpid(), Layers: layers})
	if err != nil {
		return nil, fmt.Errorf("lease layers for %q: %w", what, s.Explain(err))
	}
	return l, nil
}

func (s *Store) lease(ctx context.Context, rec leases.Record) (*Lease, error) {
	if s.readOnly {
		return &Lease{}, nil // nothing can be pruned
	}
	// Prune and the reaper exclude others while they read leases, so neither sees
	// half a record.
	unlock, err := s.Share(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := durable.Fault(ctx, "write lease"); err != nil {
		return nil, err
	}
	name, f, err := leases.Write(s.dirs[storedirs.Leases], s.boot, rec)
	if errors.Is(err, leases.ErrTaken) {
		err = ErrBusy
	}
	if err != nil {
		return nil, err
	}
	return &Lease{s, name, f}, nil
}

// Release ends the lease. A second time it does nothing.
func (l *Lease) Release() error {
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return leases.End(l.store.dirs[storedirs.Leases], l.name, f)
}
