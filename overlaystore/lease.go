// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
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

// leaseRecord is one file of leases/. A lease is alive while its file is
// locked (flock); a record of a mount is so while the mount is there.
type leaseRecord struct {
	What   string          `json:"what"`
	PID    int             `json:"pid"` // for people: it may come again
	Layers []digest.Digest `json:"layers"`
}

const (
	leaseSuffix = ".lease"
	maxLease    = 1 << 20
)

// Lease keeps the layers until it is released. what says why, for people. Take
// it before looking which layers there are, and release it after [Store.Tag].
func (s *Store) Lease(ctx context.Context, what string, layers ...digest.Digest) (*Lease, error) {
	l, err := s.lease(ctx, leaseRecord{what, os.Getpid(), layers})
	if err != nil {
		return nil, fmt.Errorf("lease layers for %q: %w", what, s.Explain(err))
	}
	return l, nil
}

func (s *Store) lease(ctx context.Context, rec leaseRecord) (*Lease, error) {
	if s.readOnly {
		return &Lease{}, nil // there is nothing that could be pruned
	}
	raw, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	// Prune and the reaper hold the store for themselves while they read
	// leases, so none of them sees half a record.
	unlock, err := s.Share(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := durable.Fault(ctx, "write lease"); err != nil {
		return nil, err
	}
	name := s.boot + "-" + rand.Text() + leaseSuffix
	f, err := fsat.Create(s.dirs[storedirs.Leases], name, 0o600)
	if err != nil {
		return nil, err
	}
	l := &Lease{s, name, f}
	locked, err := durable.TryFlock(f, durable.Exclusive)
	if err == nil && !locked {
		err = ErrBusy
	}
	if err == nil {
		_, err = f.Write(raw)
	}
	if err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return l, nil
}

// Release ends the lease. A second time it does nothing.
func (l *Lease) Release() error {
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	err := unix.Unlinkat(int(l.store.dirs[storedirs.Leases].Fd()), l.name, 0)
	if err == unix.ENOENT {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// reapLeases removes the leases of processes that died.
func (s *Store) reapLeases(ctx context.Context) error {
	names, err := fsat.Names(s.dirs[storedirs.Leases])
	if err != nil || len(names) == 0 {
		return err
	}
	// Nobody writes a lease while the store is ours; when it is not, somebody
	// else will reap.
	unlock, err := durable.TryLock(ctx, s.root, storedirs.LockFile, durable.Exclusive)
	if err != nil || unlock == nil {
		return err
	}
	defer unlock()
	_, err = s.leased(ctx)
	return err
}

// leased are the layers of all living leases; dead ones it removes. Call it
// with the store for yourself.
func (s *Store) leased(ctx context.Context) (map[digest.Digest]string, error) {
	names, err := fsat.Names(s.dirs[storedirs.Leases])
	if err != nil {
		return nil, err
	}
	layers := map[digest.Digest]string{}
	for _, name := range names {
		if !strings.HasSuffix(name, leaseSuffix) {
			continue
		}
		rec, alive, err := s.readLease(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !alive {
			err := durable.Remove(ctx, s.dirs[storedirs.Leases], name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			continue
		}
		for _, diffID := range rec.Layers {
			layers[diffID] = rec.What
		}
	}
	return layers, nil
}

func (s *Store) readLease(name string) (rec leaseRecord, alive bool, err error) {
	f, err := fsat.OpenFile(s.dirs[storedirs.Leases], name)
	if err != nil {
		return rec, false, err
	}
	free, err := durable.TryFlock(f, durable.Exclusive)
	if err := errors.Join(err, f.Close()); err != nil || free {
		return rec, false, err
	}
	raw, err := storedirs.ReadFile(s.dirs[storedirs.Leases], name, maxLease)
	if err != nil {
		return rec, true, err
	}
	if err := json.Unmarshal(raw, &rec); err != nil {
		return rec, true, fmt.Errorf("lease %s: %w: %w", name, ErrDamaged, err)
	}
	return rec, true, nil
}
