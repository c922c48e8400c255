// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/internal/stored"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/unpack"
)

// readNeeded reads the layers that are needed, and returns how many of the lowest
// layers are not.
func (i *Image) readNeeded(ctx context.Context, layers []manifest.Layer) (unread int, err error) {
	if paths := i.options.Choice.literal(); paths != nil {
		return i.readDown(ctx, layers, paths)
	}
	all := fetch.Distinct(layers)
	for _, l := range all {
		if err := i.announce(l); err != nil {
			return 0, err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetch.Jobs(i.options.Jobs))
	for _, l := range all {
		group.Go(func() error { return i.readOne(ctx, l) })
	}
	return 0, group.Wait()
}

// readDown reads one layer after the other, the topmost first, until lower layers
// cannot change what the image has at the paths.
func (i *Image) readDown(ctx context.Context, layers []manifest.Layer, paths []string) (unread int, err error) {
	var upper []*stackview.Layer
	for n, l := range slices.Backward(layers) {
		if i.layers[l.DiffID] == nil {
			numbered := fetch.Layer{Layer: l, Number: n + 1, Of: len(layers)}
			if err := errors.Join(i.announce(numbered), i.readOne(ctx, numbered)); err != nil {
				return 0, err
			}
		}
		upper = append(upper, i.layers[l.DiffID].view)
		paths = slices.DeleteFunc(paths, func(p string) bool { return stackview.Settled(p, upper...) })
		if len(paths) == 0 {
			return n, nil
		}
	}
	return 0, nil
}

// announce sends the event that says whether a layer will be fetched.
func (i *Image) announce(n fetch.Layer) error {
	has, err := i.has(n)
	if has {
		i.options.Fetch.Tell(n.Event(progress.LayerPresent))
	} else {
		i.options.Fetch.Tell(n.Event(progress.LayerMissing))
	}
	return err
}

func (i *Image) has(n fetch.Layer) (bool, error) {
	if i.options.Store == nil {
		return false, nil
	}
	return i.options.Store.HasLayer(n.DiffID)
}

func (i *Image) readOne(ctx context.Context, n fetch.Layer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l, err := i.layer(ctx, n)
	if err != nil {
		return fmt.Errorf("layer %d/%d %s: %w", n.Number, n.Of, n.Descriptor.Digest, err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.layers[n.DiffID] = l
	return nil
}

// layer takes a layer from the store, or fetches it.
func (i *Image) layer(ctx context.Context, n fetch.Layer) (*readLayer, error) {
	has, err := i.has(n)
	if err != nil {
		return nil, err
	}
	if has {
		return i.stored(ctx, i.options.Store, n)
	}
	return i.unpack(ctx, n, i.options.Choice.has, true)
}

func (i *Image) stored(ctx context.Context, store *overlaystore.Store, n fetch.Layer) (*readLayer, error) {
	record, err := store.Layer(n.DiffID)
	if err != nil {
		return nil, err
	}
	layer, err := stored.Layer(ctx, i.stack, store, n.DiffID)
	if err != nil {
		return nil, err
	}
	dir, err := store.OpenLayer(n.DiffID)
	if err != nil {
		return nil, err
	}
	for key, count := range record.Notes {
		i.note(key, count)
	}
	return &readLayer{view: layer, content: inStore{stored.Files{LayerDir: dir}}, Layer: n, close: dir.Close}, nil
}

func (i *Image) note(key string, count int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.notes[key] += count
}

// unpack unpacks the wanted paths of a layer into a directory beside the tree. If
// the bytes of several responses together are not the blob, it fetches the layer
// once more from its start. record is false for a layer whose entries and notes were
// recorded before.
func (i *Image) unpack(ctx context.Context, n fetch.Layer, wanted func(string) bool, record bool) (l *readLayer, err error) {
	err = i.options.Fetch.Layer(ctx, n, func(b *fetch.Blob) (err error) {
		l, err = i.unpackOnce(ctx, n, b, wanted, record)
		return err
	})
	if err != nil {
		return nil, err
	}
	i.options.Fetch.Done(n)
	return l, nil
}

func (i *Image) unpackOnce(ctx context.Context, n fetch.Layer, b *fetch.Blob, wanted func(string) bool, record bool) (_ *readLayer, err error) {
	dir, err := i.newDir(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, dir.Close())
		}
	}()
	o := i.unpackOptions()
	if !i.options.Choice.everything() {
		o.Skip = func(path string) bool { return !wanted(path) }
	}
	l := &readLayer{view: i.stack.Layer(), content: staged{dir}, Layer: n, staged: true, wanted: wanted, close: dir.Close}
	o.Record = l.view.Record
	if !record {
		o.Record = func(layer.Entry) error { return nil }
	}
	result, err := b.Unpack(ctx, dir, o)
	if err != nil || !record {
		return l, err
	}
	for _, note := range result.Notes {
		i.note(note.Key, note.Count)
	}
	return l, l.view.End(result.Facts)
}

func (i *Image) newDir(ctx context.Context) (*os.File, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.dirs++
	return i.place.mkdir(ctx, fmt.Sprintf("layer-%d", i.dirs))
}

func (i *Image) unpackOptions() unpack.Options {
	o := unpack.Options{
		Form:    layer.Form{Whiteouts: layer.JournalOnly},
		Strict:  i.options.Strict,
		Limits:  i.options.Limits,
		Paths:   i.paths,
		Windows: i.options.Windows,
		Devices: i.options.Devices,
		Logger:  i.options.Logger,
	}
	switch {
	case i.options.RecordOnly:
		o.IDs = layer.RecordedIDs
	case !i.options.SameOwner:
		o.IDs = layer.SquashedIDs
	}
	return o
}

// merge merges the layers that were read: all but the lowest i.unread.
func (i *Image) merge() (*stackview.View, error) {
	var read []*stackview.Layer
	for _, l := range i.all[i.unread:] {
		read = append(read, i.layers[l.DiffID].view)
	}
	if i.unread > 0 {
		return i.stack.MergeUpper(read...)
	}
	return i.stack.Merge(read...)
}

// readAgain fetches a layer once more if a file of it is missing. That happens if
// the choice does not want the file's name in this layer, but wants another name
// that a hard link of an upper layer gives it.
func (i *Image) readAgain(ctx context.Context, layers []manifest.Layer) error {
	if i.options.Choice.everything() {
		return nil
	}
	needed := map[digest.Digest]map[string]bool{}
	for file := range i.view.All() {
		if file.Type == layer.Directory || file.Type == layer.Symlink || !i.options.Choice.has(file.Path) {
			continue
		}
		l := i.layers[layers[file.Layer].DiffID]
		if !l.staged || l.wanted(file.Came) {
			continue
		}
		if needed[l.DiffID] == nil {
			needed[l.DiffID] = map[string]bool{}
		}
		needed[l.DiffID][file.Came] = true
	}
	for diffID, paths := range needed {
		l := i.layers[diffID]
		again, err := i.unpack(ctx, l.Layer, func(path string) bool { return paths[path] || i.options.Choice.has(path) }, false)
		if err != nil {
			return fmt.Errorf("layer %d/%d %s: %w", l.Number, l.Of, l.Descriptor.Digest, err)
		}
		if err := l.close(); err != nil {
			return err
		}
		again.view = l.view
		i.layers[diffID] = again
	}
	return nil
}
