// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Commit makes sealed layers visible, durably: one syncfs for them all, then
// a rename of each, then an fsync of their directory. On an error, but for that
// of the context, every one of them is discarded and the store is as before: nobody
// can tell what a failed sync has left. A layer that is there meanwhile is no error.
func (s *Store) Commit(ctx context.Context, layers ...*Staging) error {
	if len(layers) == 0 {
		return nil
	}
	err := s.commit(ctx, s.dirs[storedirs.Layers], "", layers)
	end := (*Staging).Discard
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		end = func(g *Staging) error { return g.Leave(ctx) } // nothing failed, somebody wants an end
	}
	for _, g := range layers {
		err = errors.Join(err, end(g))
	}
	if err != nil {
		return fmt.Errorf("commit %s: %w", plural(len(layers), "layer"), s.Explain(err))
	}
	return nil
}

// commit makes the layers visible in the directory into, or where unsynced
// layers are kept, there under a name that begins with prefix.
func (s *Store) commit(ctx context.Context, into *os.File, prefix string, layers []*Staging) error {
	for _, g := range layers {
		if !g.sealed || g.done {
			return fmt.Errorf("layer %s is not sealed", g.diffID)
		}
		g.final = g.diffID.Encoded()
	}
	if s.noSync {
		dir, err := s.openUnsynced(ctx)
		if err != nil {
			return err
		}
		defer dir.Close()
		into = dir
		for _, g := range layers {
			g.final = prefix + g.final
		}
	} else {
		// The directory that was opened first hears of all their errors.
		first := slices.MinFunc(layers, func(a, b *Staging) int { return a.opened.Compare(b.opened) })
		if err := durable.SyncFS(ctx, first.dir); err != nil {
			return err
		}
	}
	unlock, err := s.Share(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return moveIn(ctx, into, layers, s.noSync)
}

// moveIn renames the layers to their places. On an error those that moved are
// taken back, for what is visible must be durable.
func moveIn(ctx context.Context, into *os.File, layers []*Staging, noSync bool) error {
	moved, err := renameAll(ctx, into, layers)
	if err == nil && !noSync {
		err = durable.SyncDir(ctx, into)
	}
	for _, g := range moved {
		if err != nil {
			err = errors.Join(err, g.takeBack(into))
		}
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, g := range moved {
		g.done = true
		errs = append(errs, g.close())
	}
	return errors.Join(errs...)
}

// renameAll leaves out those that another process committed first: their
// stagings are discarded.
func renameAll(ctx context.Context, into *os.File, layers []*Staging) (moved []*Staging, err error) {
	for _, g := range layers {
		err := durable.RenameNoReplace(ctx, g.in, g.name, into, g.final)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return moved, err
		}
		moved = append(moved, g)
	}
	return moved, nil
}

func (g *Staging) takeBack(from *os.File) error {
	err := unix.Renameat2(int(from.Fd()), g.final, int(g.in.Fd()), g.name, unix.RENAME_NOREPLACE)
	if err != nil {
		return fmt.Errorf("take back layer %s: %w", g.diffID, err)
	}
	return nil
}

// openUnsynced opens the place for layers that are not synced. Its name is
// this boot's, so that the next boot knows what not to believe.
func (s *Store) openUnsynced(ctx context.Context) (*os.File, error) {
	err := durable.Mkdir(ctx, s.dirs[storedirs.Unsynced], s.boot, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return durable.OpenDirAt(s.dirs[storedirs.Unsynced], s.boot)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
