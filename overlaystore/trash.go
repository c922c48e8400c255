// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"crypto/rand"
	"os"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Trash removes name in dir, one of the store's directories or below one:
// durably, and at once, also for a process that is killed meanwhile.
func (s *Store) Trash(ctx context.Context, dir *os.File, name string) error {
	trashed, err := s.bin(ctx, dir, name)
	if err != nil {
		return err
	}
	return s.emptyTrash(ctx, trashed)
}

// bin moves name in dir to the trash, durably: what is being removed is gone
// at once and whole, also for a process that is killed meanwhile.
func (s *Store) bin(ctx context.Context, dir *os.File, name string) (trashed string, err error) {
	trashed = rand.Text()
	if err := durable.RenameNoReplace(ctx, dir, name, s.dirs[storedirs.Trash], trashed); err != nil {
		return "", err
	}
	if err := durable.SyncDir(ctx, s.dirs[storedirs.Trash]); err != nil {
		return trashed, err
	}
	return trashed, durable.SyncDir(ctx, dir)
}
