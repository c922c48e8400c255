// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"os"

	"github.com/layerctl/layerctl/internal/leases"
	"github.com/layerctl/layerctl/internal/leftovers"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// leftovers returns what finds and removes the leftovers of processes that died.
func (s *Store) leftovers() leftovers.Store {
	return leftovers.Store{Path: s.path, Boot: s.boot, Dirs: s.dirs, Held: s.held, Log: s.log}
}

// reap removes what processes that died have left: staging directories and leases
// that nobody holds, trash, and unsynced layers of an earlier boot. It removes
// nothing that is visible, so it needs no lock on the store.
func (s *Store) reap(ctx context.Context) error {
	if err := s.leftovers().Clear(ctx); err != nil {
		return err
	}
	return leases.Reap(ctx, s.root, s.dirs[storedirs.Leases])
}

// Trash removes name from dir, which is one of the store's directories or lies below
// one. It disappears atomically and durably, even if the process is killed meanwhile.
func (s *Store) Trash(ctx context.Context, dir *os.File, name string) error {
	return s.leftovers().Trash(ctx, dir, name)
}
