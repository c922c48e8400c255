// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/stagingdir"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/trash"
)

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
	return stagingdir.Dead(ctx, dir, s.dirs[storedirs.Locks], func(name string) error {
		s.log.Info("removing what an interrupted process left", "store", s.path, "staging", name)
		_, err := trash.Move(ctx, dir, name, s.dirs[storedirs.Trash])
		if errors.Is(err, fs.ErrNotExist) {
			return nil // committed between the listing and the lock
		}
		return err
	})
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
		if err := s.Trash(ctx, s.dirs[storedirs.Unsynced], name); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
