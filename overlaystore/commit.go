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

// Commit makes sealed layers visible, durably: one syncfs for them all, then
// a rename of each, then an fsync of each of their directories. On an error, but for
// that of the context, every one of them is discarded that was not durable in its
// place by then: nobody can tell what a failed sync has left. A layer that is there
// meanwhile is no error.
func (s *Store) Commit(ctx context.Context, layers ...*Staging) error {
	if len(layers) == 0 {
		return nil
	}
	err := s.commit(ctx, layers)
	end := (*Staging).Discard
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		end = func(g *Staging) error { return g.Leave(ctx) } // nothing failed, somebody wants an end
	}
	for _, g := range layers {
		err = errors.Join(err, end(g))
	}
	if err != nil {
		return fmt.Errorf("commit %s: %w", words.Count(countLayers(layers), "layer"), s.Explain(err))
	}
	return nil
}

// countLayers leaves out a fix layer or an index, unless there is nothing else.
func countLayers(staged []*Staging) (n int) {
	for _, g := range staged {
		if g.isLayer {
			n++
		}
	}
	return max(n, 1)
}

// commit makes the layers visible where they belong, or where unsynced layers are
// kept. One that is made of others, a fix layer or an index, comes after these.
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
	return s.moveIn(ctx, layers, unsynced)
}

// moveIn moves the layers to their places, which are all in unsynced unless that is
// nil. Those that another process committed first are left to be discarded.
func (s *Store) moveIn(ctx context.Context, layers []*Staging, unsynced *os.File) error {
	moves := make([]stagingdir.Move, len(layers))
	for i, g := range layers {
		m := stagingdir.Move{From: g.in, Name: g.name, To: s.dirs[storedirs.Layers], Final: g.diffID.Encoded()}
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

// openUnsynced opens the place for layers that are not synced. Its name is
// this boot's, so that the next boot knows what not to believe.
func (s *Store) openUnsynced(ctx context.Context) (*os.File, error) {
	err := durable.Mkdir(ctx, s.dirs[storedirs.Unsynced], s.boot, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return durable.OpenDirAt(s.dirs[storedirs.Unsynced], s.boot)
}
