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
	"github.com/layerctl/layerctl/overlaystore/internal/partial"
)

// Keep lets a sealed layer outlive its process until the image is complete: the
// next staging of the layer can take it up. It outlives a power cut after
// [Store.Settle]. Of two processes that fill a layer the one with its lock keeps it.
func (g *Staging) Keep(ctx context.Context) error {
	if !g.sealed || g.done || g.kept && !g.record.OnItsWay() || g.alone {
		return nil
	}
	in, name, err := partial.Add(ctx, g.store.root, g.in, g.name, g.diffID, g.raw)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if g.kept {
		err = g.in.Close() // where it was on its way
	}
	g.in, g.name, g.kept = in, name, true
	return err
}

// Leave is [Staging.Discard], but for a layer that is kept: that stays for the
// next one who wants it. The last checkpoint of one on its way is made durable, if
// that is done before ctx ends.
func (g *Staging) Leave(ctx context.Context) error {
	if g.done || !g.kept || !g.sealed && !g.record.Settle(ctx) {
		return g.Discard()
	}
	g.done = true
	return g.close()
}

// Checkpoint has the layer as it is now, and state with it, outlive the process, for
// [Staging.GoOn]; a power cut may leave one that is older, by settle or by 50 times
// what a sync takes. file is the path of one that is not whole, or "".
func (g *Staging) Checkpoint(ctx context.Context, state []byte, file string, settle time.Duration) error {
	if g.alone || g.sealed || g.done || !g.isLayer {
		return nil
	}
	if !g.kept {
		in, name, err := partial.Begin(ctx, g.store.root, g.in, g.name, g.diffID)
		if errors.Is(err, fs.ErrExist) {
			return nil // of another one, which nobody has looked at
		}
		if err != nil {
			return err
		}
		g.in, g.name, g.kept = in, name, true
	}
	c := partial.Checkpoint{Layer: g.diffID, Boot: g.store.boot, Content: g.disk, File: []byte(file), State: state}
	if g.tar != nil {
		c.Content = g.tar.Size()
	}
	return g.record.Save(ctx, g.dir, !g.store.noSync, settle, &c)
}

// GoOn puts a layer as it was at its last checkpoint into the place of the empty
// staging, and returns that one's state; nil where none can be gone on with. In a
// store of tars that is what is read from Tar; all entries are to be recorded again.
func (g *Staging) GoOn(ctx context.Context) ([]byte, error) {
	if g.alone || !g.isLayer {
		return nil, nil
	}
	p, err := g.store.partials().OpenPart(ctx, g.diffID, &g.record, !g.store.noSync)
	if err != nil || p == nil {
		return nil, err
	}
	err = g.replace(&p.Layer)
	g.tar, g.disk = p.Tar, p.Checkpoint.Content
	return p.Checkpoint.State, err
}

// Settle writes kept layers to the disk. After an error they are discarded, for
// nobody can tell what a failed sync has left; but not where ctx has ended before.
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

// Waits reports whether there is a layer that [Staging.TakeUp] may find right.
func (s *Store) Waits(diffID digest.Digest) (bool, error) {
	return s.partials().Waits(diffID)
}

// Begun is what an interrupted pull has of a layer that is not whole: the state of
// its last checkpoint, nil where there is none, and the bytes of its files. Nothing
// of it was compared; [Staging.GoOn] may find that it does not count.
func (s *Store) Begun(diffID digest.Digest) (state []byte, bytes int64) {
	return s.partials().Begun(diffID)
}

// TakeUp puts a layer that an interrupted pull has kept into the place of the
// empty staging, sealed, and tells whether there was one that is whole: every
// file is compared with the journal first, as the disk has it.
func (g *Staging) TakeUp(ctx context.Context) (bool, error) {
	if g.alone {
		return false, nil
	}
	l, err := g.store.partials().Open(ctx, g.diffID)
	if err != nil || l == nil {
		return false, err
	}
	err, g.sealed = g.replace(l), true
	var rec LayerRecord
	// One that was kept by an older program, or over a power cut, may be unprotected.
	if err := errors.Join(err, json.Unmarshal(l.Record, &rec), g.protect(ctx)); err != nil {
		return true, err
	}
	g.store.keepStackFacts(g.diffID, &rec)
	return true, nil
}

// replace puts a kept layer into the place of the empty one; the layer's lock stays.
func (g *Staging) replace(l *partial.Layer) error {
	err := errors.Join(fsat.RemoveAll(g.in, g.name), g.closeLower(), g.dir.Close())
	g.in, g.name, g.dir, g.fs, g.kept, g.opened = l.In, l.Name, l.Dir, l.FS, true, time.Now()
	return err
}

// Waiting are the layers of a store that wait for the next pull.
type Waiting = partial.Waiting

// Look counts the layers that interrupted pulls have left in the store at path,
// and does not open it: it may be another user's. There are none where it is no
// store.
func Look(path string) (Waiting, error) { return partial.Look(path) }

// PartialAge is how long layers of interrupted pulls wait for the next pull, before
// [Store.Prune] removes them.
const PartialAge = 24 * time.Hour

func (s *Store) partials() partial.Layers {
	return partial.Layers{Root: s.root, Left: s.leftovers(), Form: s.format.Form, Record: recordFile, MaxRecord: maxRecord, Tar: s.tarOptions()}
}
