// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/trash"
)

// stagingLock is held while a staging directory is made and not yet locked,
// so that nobody takes it for one that a dead process left.
const stagingLock = "staging"

// reap clears away what processes that died have left: staging directories
// and leases that nobody holds, trash, temporary files. It removes nothing
// that was ever visible, so it needs no lock on the store.
func (s *Store) reap(ctx context.Context) error {
	for _, part := range []func(context.Context) error{s.reapStaging, s.reapTrash, s.reapLeases, s.reapUnsynced} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) reapStaging(ctx context.Context) error {
	dir := s.dirs[storedirs.Staging]
	names, err := fsat.Names(dir)
	if err != nil || len(names) == 0 {
		return err
	}
	unlock, err := durable.Lock(ctx, s.dirs[storedirs.Locks], stagingLock, durable.Exclusive, nil)
	if err != nil {
		return err
	}
	defer unlock()
	for _, name := range names {
		if err := s.reapDir(ctx, dir, name); err != nil {
			return err
		}
	}
	return nil
}

// reapDir moves name in dir to the trash unless a living process holds it.
func (s *Store) reapDir(ctx context.Context, dir *os.File, name string) error {
	f, err := durable.OpenDirAt(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	free, err := durable.TryFlock(f, durable.Exclusive)
	if err != nil || !free {
		return err
	}
	s.log.Info("removing what an interrupted process left", "store", s.path, "staging", name)
	_, err = trash.Move(ctx, dir, name, s.dirs[storedirs.Trash])
	if errors.Is(err, fs.ErrNotExist) {
		return nil // committed between the listing and the lock
	}
	return err
}

// reapTrash empties the trash; several processes may do so at once.
func (s *Store) reapTrash(ctx context.Context) error {
	names, err := fsat.Names(s.dirs[storedirs.Trash])
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.emptyTrash(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) emptyTrash(ctx context.Context, name string) error {
	if err := durable.Fault(ctx, "empty trash"); err != nil {
		return err
	}
	if held, err := s.held(ctx, name); err != nil || held {
		return err
	}
	return trash.Remove(s.dirs[storedirs.Trash], name)
}

// reapUnsynced bins layers that an earlier boot committed without a sync:
// nobody knows how much of them reached the disk.
func (s *Store) reapUnsynced(ctx context.Context) error {
	names, err := fsat.Names(s.dirs[storedirs.Unsynced])
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == s.boot {
			continue
		}
		s.log.Info("removing layers that an earlier boot did not sync", "store", s.path)
		trashed, err := trash.Move(ctx, s.dirs[storedirs.Unsynced], name, s.dirs[storedirs.Trash])
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.emptyTrash(ctx, trashed); err != nil {
			return err
		}
	}
	return nil
}

// Trash removes name in dir, one of the store's directories or below one:
// durably, and at once, also for a process that is killed meanwhile.
func (s *Store) Trash(ctx context.Context, dir *os.File, name string) error {
	trashed, err := trash.Move(ctx, dir, name, s.dirs[storedirs.Trash])
	if err != nil {
		return err
	}
	return s.emptyTrash(ctx, trashed)
}
