// SPDX-License-Identifier: Apache-2.0

// Package leftovers counts and clears away what processes that died have left
// in a store: staging directories that nobody holds, the trash, and layers that
// an earlier boot did not sync. None of it was ever visible, or is any more.
package leftovers

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/stagingdir"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/trash"
)

// Store is where leftovers are looked for.
type Store struct {
	Path string
	Boot string // id of this boot
	Dirs map[string]*os.File
	// Held says of a name in the trash that a mount may still use it.
	Held func(ctx context.Context, name string) (bool, error)
	Log  *slog.Logger
}

// Clear removes all of it; several processes may do so at once.
func (s Store) Clear(ctx context.Context) error {
	err := stagingdir.Dead(ctx, s.Dirs[storedirs.Staging], s.Dirs[storedirs.Locks], func(name string) error {
		s.Log.Info("removing what an interrupted process left", "store", s.Path, "staging", name)
		_, err := trash.Move(ctx, s.Dirs[storedirs.Staging], name, s.Dirs[storedirs.Trash])
		if errors.Is(err, fs.ErrNotExist) {
			return nil // committed between the listing and the lock
		}
		return err
	})
	if err != nil {
		return err
	}
	names, err := fsat.Names(s.Dirs[storedirs.Trash])
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.Empty(ctx, name); err != nil {
			return err
		}
	}
	return s.unsynced(func(name string) error {
		s.Log.Info("removing layers that an earlier boot did not sync", "store", s.Path)
		err := s.Trash(ctx, s.Dirs[storedirs.Unsynced], name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// unsynced calls found for the layers of each earlier boot: nobody knows how
// much of them reached the disk.
func (s Store) unsynced(found func(name string) error) error {
	names, err := fsat.Names(s.Dirs[storedirs.Unsynced])
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == s.Boot {
			continue
		}
		if err := found(name); err != nil {
			return err
		}
	}
	return nil
}

// Trash removes name in dir, one of the store's directories or below one:
// durably, and at once, also for a process that is killed meanwhile.
func (s Store) Trash(ctx context.Context, dir *os.File, name string) error {
	trashed, err := trash.Move(ctx, dir, name, s.Dirs[storedirs.Trash])
	if err != nil {
		return err
	}
	return s.Empty(ctx, trashed)
}

// Empty removes name from the trash, unless it is held.
func (s Store) Empty(ctx context.Context, name string) error {
	if err := durable.Fault(ctx, "empty trash"); err != nil {
		return err
	}
	if held, err := s.Held(ctx, name); err != nil || held {
		return err
	}
	return trash.Remove(s.Dirs[storedirs.Trash], name)
}

// Bytes are those of the contents of all files that Clear would remove. What
// cannot be read, or goes meanwhile, is not counted.
func (s Store) Bytes(ctx context.Context) (int64, error) {
	c := counter{ctx: ctx, linked: map[uint64]bool{}}
	staging := s.Dirs[storedirs.Staging]
	err := stagingdir.Dead(ctx, staging, s.Dirs[storedirs.Locks], func(name string) error { return c.count(staging, name) })
	if err != nil {
		return 0, err
	}
	names, err := fsat.Names(s.Dirs[storedirs.Trash])
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		held, err := s.Held(ctx, name)
		if err == nil && !held {
			err = c.count(s.Dirs[storedirs.Trash], name)
		}
		if err != nil {
			return 0, err
		}
	}
	err = s.unsynced(func(name string) error { return c.count(s.Dirs[storedirs.Unsynced], name) })
	return c.bytes, err
}

// BytesOf are those of the contents of all files that name in dir holds.
func (s Store) BytesOf(ctx context.Context, dir *os.File, name string) (int64, error) {
	c := counter{ctx: ctx, linked: map[uint64]bool{}}
	err := c.count(dir, name)
	return c.bytes, err
}

// counter adds up files, those with several names once.
type counter struct {
	ctx    context.Context //nolint:containedctx // of the call that began it
	linked map[uint64]bool
	bytes  int64
}

// count adds name in dir with all below it; its error is the context's.
func (c *counter) count(dir *os.File, name string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	st, err := fsat.Lstat(dir, name)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT == unix.S_IFREG && !c.linked[st.Ino]:
		c.bytes += st.Size
		if st.Nlink > 1 {
			c.linked[st.Ino] = true
		}
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		below, err := durable.OpenDirAt(dir, name)
		if err != nil {
			return nil
		}
		defer below.Close()
		names, err := fsat.Names(below)
		if err != nil {
			return nil
		}
		for _, name := range names {
			if err := c.count(below, name); err != nil {
				return err
			}
		}
	}
	return nil
}
