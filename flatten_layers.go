// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/flat"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/internal/stored"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// read reads the layers that are needed, and says how many of the lowest are
// not.
func (f *flattening) read(ctx context.Context, layers []manifest.Layer) (unread int, err error) {
	if paths := f.choice.Literal(); paths != nil {
		return f.readDown(ctx, layers, paths)
	}
	all := fetch.Distinct(layers)
	for _, l := range all {
		if err := f.announce(l); err != nil {
			return 0, err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetch.Jobs(f.options.Jobs))
	for _, l := range all {
		group.Go(func() error { return f.readOne(ctx, l) })
	}
	return 0, group.Wait()
}

// readDown reads one layer after the other, the topmost first, until the
// paths are settled.
func (f *flattening) readDown(ctx context.Context, layers []manifest.Layer, paths []string) (unread int, err error) {
	var upper []*stackview.Layer
	for i, l := range slices.Backward(layers) {
		if f.layers[l.DiffID] == nil {
			n := fetch.Layer{Layer: l, Number: i + 1, Of: len(layers)}
			if err := errors.Join(f.announce(n), f.readOne(ctx, n)); err != nil {
				return 0, err
			}
		}
		upper = append(upper, f.layers[l.DiffID].merged)
		paths = slices.DeleteFunc(paths, func(p string) bool { return stackview.Settled(p, upper...) })
		if len(paths) == 0 {
			return i, nil
		}
	}
	return 0, nil
}

// announce says whether a layer will be fetched.
func (f *flattening) announce(n fetch.Layer) error {
	has, err := f.has(n)
	if has {
		f.fetch.Tell(n.Event(LayerPresent))
	} else {
		f.fetch.Tell(n.Event(LayerMissing))
	}
	return err
}

func (f *flattening) has(n fetch.Layer) (bool, error) {
	if f.options.Store == nil {
		return false, nil
	}
	return f.options.Store.HasLayer(n.DiffID)
}

func (f *flattening) readOne(ctx context.Context, n fetch.Layer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l, err := f.layer(ctx, n)
	if err != nil {
		return fmt.Errorf("layer %d/%d %s: %w", n.Number, n.Of, n.Descriptor.Digest, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.layers[n.DiffID] = l
	return nil
}

// layer takes a layer from the store, or fetches it.
func (f *flattening) layer(ctx context.Context, n fetch.Layer) (*flatLayer, error) {
	has, err := f.has(n)
	if err != nil {
		return nil, err
	}
	if has {
		return f.stored(ctx, f.options.Store, n)
	}
	return f.unpack(ctx, n, f.choice.Has, true)
}

func (f *flattening) stored(ctx context.Context, store *overlaystore.Store, n fetch.Layer) (*flatLayer, error) {
	record, err := store.Layer(n.DiffID)
	if err != nil {
		return nil, err
	}
	layer, err := stored.Layer(ctx, f.stack, store, n.DiffID)
	if err != nil {
		return nil, err
	}
	dir, err := store.OpenLayer(n.DiffID)
	if err != nil {
		return nil, err
	}
	for key, count := range record.Notes {
		f.note(key, count)
	}
	return &flatLayer{merged: layer, content: flat.Stored{Layer: stored.Files{LayerDir: dir}}, Layer: n, close: dir.Close}, nil
}

func (f *flattening) note(key string, count int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes[key] += count
}

// fetch unpacks a layer into a directory beside the tree, with what is wanted
// of it. Where bytes of several responses do not make the blob it is fetched
// once more, from its start. Of a layer that is fetched a second time only the
// files are new, and not recorded.
func (f *flattening) unpack(ctx context.Context, n fetch.Layer, wanted func(string) bool, record bool) (l *flatLayer, err error) {
	err = f.fetch.Layer(ctx, n, func(b *fetch.Blob) (err error) {
		l, err = f.unpackOnce(ctx, n, b, wanted, record)
		return err
	})
	if err != nil {
		return nil, err
	}
	f.fetch.Done(n)
	return l, nil
}

func (f *flattening) unpackOnce(ctx context.Context, n fetch.Layer, b *fetch.Blob, wanted func(string) bool, record bool) (_ *flatLayer, err error) {
	dir, err := f.newDir(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, dir.Close())
		}
	}()
	o := f.unpackOptions()
	if !f.choice.All() {
		o.Skip = func(path string) bool { return !wanted(path) }
	}
	l := &flatLayer{merged: f.stack.Layer(), content: flat.Staged{Dir: dir}, Layer: n, staged: true, wanted: wanted, close: dir.Close}
	o.Record = l.merged.Record
	if !record {
		o.Record = func(layer.Entry) error { return nil }
	}
	result, err := b.Unpack(ctx, dir, o)
	if err != nil || !record {
		return l, err
	}
	for _, note := range result.Notes {
		f.note(note.Key, note.Count)
	}
	return l, l.merged.End(result.Facts)
}

func (f *flattening) newDir(ctx context.Context) (*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirs++
	return f.place.Dir(ctx, fmt.Sprintf("layer-%d", f.dirs))
}

func (f *flattening) unpackOptions() unpack.Options {
	o := unpack.Options{
		Form:    layer.Form{Whiteouts: layer.JournalOnly},
		Strict:  f.client.options.Strict,
		Limits:  f.options.Limits,
		Windows: f.options.Windows,
		Devices: f.options.Devices,
		Logger:  f.client.log,
	}
	switch {
	case f.options.Owners == recordOwners:
		o.IDs = layer.RecordedIDs
	case !f.sameOwner():
		o.IDs = layer.SquashedIDs
	}
	return o
}

// merge puts the layers together but for the lowest ones, which were not read.
func (f *flattening) merge(layers []manifest.Layer, unread int) (*stackview.View, error) {
	var read []*stackview.Layer
	for _, l := range layers[unread:] {
		read = append(read, f.layers[l.DiffID].merged)
	}
	if unread > 0 {
		return f.stack.MergeUpper(read...)
	}
	return f.stack.Merge(read...)
}

// readAgain fetches layers once more of which a file is needed that was not
// wanted by its name there: it has another name, by a hardlink, which is.
func (f *flattening) readAgain(ctx context.Context, layers []manifest.Layer, view *stackview.View) error {
	if f.choice.All() {
		return nil
	}
	needed := map[digest.Digest]map[string]bool{}
	for file := range view.All() {
		if file.Type == layer.Directory || file.Type == layer.Symlink || !f.choice.Has(file.Path) {
			continue
		}
		l := f.layers[layers[file.Layer].DiffID]
		if !l.staged || l.wanted(file.Came) {
			continue
		}
		if needed[l.DiffID] == nil {
			needed[l.DiffID] = map[string]bool{}
		}
		needed[l.DiffID][file.Came] = true
	}
	for diffID, paths := range needed {
		l := f.layers[diffID]
		again, err := f.unpack(ctx, l.Layer, func(path string) bool { return paths[path] || f.choice.Has(path) }, false)
		if err != nil {
			return fmt.Errorf("layer %d/%d %s: %w", l.Number, l.Of, l.Descriptor.Digest, err)
		}
		if err := l.close(); err != nil {
			return err
		}
		again.merged = l.merged
		f.layers[diffID] = again
	}
	return nil
}
