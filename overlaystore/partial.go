// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/overlaystore/internal/partial"
)

// Keep lets a sealed layer outlive its process until the image is complete, so that
// [Staging.TakeUp] can use it in the next pull. It survives a power cut only after
// [Store.Settle]. A staging without the layer's lock keeps nothing.
func (g *Staging) Keep(ctx context.Context) error {
	if !g.sealed || g.done || g.kept && !g.journal.OnItsWay() || g.private {
		return nil
	}
	parent, name, err := partial.Add(ctx, g.store.root, g.parent, g.name, g.diffID, g.raw)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if g.kept {
		err = g.parent.Close() // of the unfinished layer
	}
	g.parent, g.name, g.kept = parent, name, true
	return err
}

// Leave ends the staging. Other than [Staging.Discard] it does not remove a kept
// layer, but leaves it to the next staging of the layer. The last checkpoint of an
// unfinished layer is made durable, if that succeeds before ctx ends.
func (g *Staging) Leave(ctx context.Context) error {
	if g.done || !g.kept || !g.sealed && !g.journal.Settle(ctx) {
		return g.Discard()
	}
	g.done = true
	return g.close()
}

// Checkpoint lets the layer as it is now, and state, outlive the process, for
// [Staging.GoOn]. After a power cut an older checkpoint may be the last: older by
// settle, or by 50 times as long as a sync takes. file is the path of the file that
// is being written, or "".
func (g *Staging) Checkpoint(ctx context.Context, state []byte, file string, settle time.Duration) error {
	if g.private || g.sealed || g.done || !g.isLayer {
		return nil
	}
	if !g.kept {
		parent, name, err := partial.Begin(ctx, g.store.root, g.parent, g.name, g.diffID)
		if errors.Is(err, fs.ErrExist) {
			return nil // an earlier process kept one, which GoOn was not asked for
		}
		if err != nil {
			return err
		}
		g.parent, g.name, g.kept = parent, name, true
	}
	c := partial.Checkpoint{Layer: g.diffID, Boot: g.store.boot, Content: g.disk, File: []byte(file), State: state}
	if g.tar != nil {
		c.Content = g.tar.Size()
	}
	return g.journal.Save(ctx, g.dir, !g.store.noSync, settle, &c)
}

// GoOn replaces the empty staging by the layer as it was at its last checkpoint, and
// returns the state of that checkpoint; nil where there is none that can be
// continued. In a store of tars Tar then yields what the layer's tar has up to there,
// and the caller records all entries again.
func (g *Staging) GoOn(ctx context.Context) ([]byte, error) {
	if g.private || !g.isLayer {
		return nil, nil
	}
	p, err := g.store.partials().OpenPart(ctx, g.diffID, &g.journal, !g.store.noSync)
	if err != nil || p == nil {
		return nil, err
	}
	err = g.replace(&p.Layer)
	g.tar, g.disk = p.Tar, p.Checkpoint.Content
	return p.Checkpoint.State, err
}

// Settle writes kept layers to the disk. After an error they are discarded, for a
// failed sync says nothing of what is on the disk. Where ctx ends first they stay.
func (s *Store) Settle(ctx context.Context, layers ...*Staging) (err error) {
	if s.noSync || len(layers) == 0 {
		return nil
	}
	select {
	case err = <-durable.StartSyncFS(ctx, layers[0].dir):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, g := range layers {
		if err != nil {
			err = errors.Join(err, g.Discard())
		}
	}
	return s.Explain(err)
}

// Waits reports whether a finished layer waits for [Staging.TakeUp], which has yet to
// check it.
func (s *Store) Waits(diffID digest.Digest) (bool, error) {
	return s.partials().Waits(diffID)
}

// Begun returns what an interrupted pull has of an unfinished layer: the state of
// its last checkpoint, nil where there is none, and the bytes of its files. None of
// it is checked; [Staging.GoOn] may reject it.
func (s *Store) Begun(diffID digest.Digest) (state []byte, bytes int64) {
	return s.partials().Begun(diffID)
}

// TakeUp replaces the empty staging by the finished layer that an interrupted pull
// has kept, sealed, and reports whether there was one. Each file is read from the
// disk and compared with the journal first; a layer that differs does not count.
func (g *Staging) TakeUp(ctx context.Context) (bool, error) {
	if g.private {
		return false, nil
	}
	l, err := g.store.partials().Open(ctx, g.diffID)
	if err != nil || l == nil {
		return false, err
	}
	err, g.sealed = g.replace(l), true
	var rec LayerRecord
	// A power cut, or an older version, may have left the file without fs-verity.
	if err := errors.Join(err, json.Unmarshal(l.Record, &rec), tarlayer.Protect(ctx, g.dir, g.store.files())); err != nil {
		return true, err
	}
	g.store.keepStackFacts(g.diffID, &rec)
	return true, nil
}

// replace puts a kept layer in the place of the empty one, under the same lock.
func (g *Staging) replace(l *partial.Layer) error {
	err := errors.Join(fsat.RemoveAll(g.parent, g.name), g.closeLower(), g.dir.Close())
	g.parent, g.name, g.dir, g.fs, g.kept, g.opened = l.In, l.Name, l.Dir, l.FS, true, time.Now()
	return err
}

// Waiting counts the layers of a store that wait for the next pull.
type Waiting = partial.Waiting

// Look counts the layers that interrupted pulls have left in the store at path. It
// does not open the store, which may be another user's, and counts none where there
// is no store.
func Look(path string) (Waiting, error) { return partial.Look(path) }

// PartialAge is how old layers of interrupted pulls must be for [Store.Prune] to
// remove them without being told to.
const PartialAge = 24 * time.Hour

func (s *Store) partials() partial.Layers {
	return partial.Layers{Root: s.root, Left: s.leftovers(), Form: s.format.Form, Record: recordFile, MaxRecord: maxRecord, Tar: s.tarOptions()}
}
