// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/stagingdir"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/words"
)

// Commit makes sealed layers visible, durably: one syncfs for them all, then a
// rename of each, then an fsync of the directories that they are now in. After an
// error all layers are discarded that were not durable in their place by then, for
// a failed sync says nothing of what is on the disk; only where ctx has ended are
// kept layers left for the next pull. That another process has committed the same
// layer meanwhile is no error.
func (s *Store) Commit(ctx context.Context, layers ...*Staging) error {
	if len(layers) == 0 {
		return nil
	}
	err := s.commit(ctx, layers)
	end := (*Staging).Discard
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		end = func(g *Staging) error { return g.Leave(ctx) } // interrupted, not failed
	}
	for _, g := range layers {
		err = errors.Join(err, end(g))
	}
	if err != nil {
		return fmt.Errorf("commit %s: %w", words.Count(countLayers(layers), "layer"), s.Explain(err))
	}
	return nil
}

// countLayers counts the layers, without a fix layer or an index; at least 1.
func countLayers(staged []*Staging) (n int) {
	for _, g := range staged {
		if g.isLayer {
			n++
		}
	}
	return max(n, 1)
}

// commit makes the layers visible in layers/ and fix/, or in unsynced/ with NoSync.
// A fix layer or an index must come after the layers that it is made of.
func (s *Store) commit(ctx context.Context, layers []*Staging) error {
	for _, g := range layers {
		if !g.sealed || g.done {
			return fmt.Errorf("layer %s is not sealed", g.diffID)
		}
	}
	var unsynced *os.File
	if s.noSync {
		dir, err := s.openUnsynced(ctx)
		if err != nil {
			return err
		}
		defer dir.Close()
		unsynced = dir
	} else {
		// Syncfs reports errors since its descriptor was opened: the oldest sees all.
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
	return s.moveIn(ctx, layers, unsynced)
}

// moveIn moves the layers into unsynced, or into layers/ and fix/ where unsynced is
// nil. Layers that another process committed first stay where they are, for Discard.
func (s *Store) moveIn(ctx context.Context, layers []*Staging, unsynced *os.File) error {
	moves := make([]stagingdir.Move, len(layers))
	for i, g := range layers {
		m := stagingdir.Move{From: g.parent, Name: g.name, To: s.dirs[storedirs.Layers], Final: g.diffID.Encoded()}
		if !g.isLayer {
			m.To = s.dirs[storedirs.Fix]
		}
		if unsynced != nil {
			m.To = unsynced
			if !g.isLayer {
				m.Final = fixPrefix + m.Final
			}
		}
		moves[i] = m
	}
	moved, err := stagingdir.MoveAll(ctx, moves, unsynced != nil)
	errs := []error{err}
	for _, i := range moved {
		layers[i].done = true
		errs = append(errs, layers[i].close())
	}
	return errors.Join(errs...)
}

// openUnsynced opens the directory for layers that are not synced. It is named after
// this boot, so that the next boot ignores them.
func (s *Store) openUnsynced(ctx context.Context) (*os.File, error) {
	err := durable.Mkdir(ctx, s.dirs[storedirs.Unsynced], s.boot, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return durable.OpenDirAt(s.dirs[storedirs.Unsynced], s.boot)
}
