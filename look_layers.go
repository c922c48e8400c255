// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"fmt"
	"io"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// watcher sees a layer that is fetched go by: its journal, behind the layer
// itself, and the contents of which it wants some.
type watcher interface {
	// begin says that the layer comes, from its first byte.
	begin(*stackview.Layer)
	record(layer.Entry)
	content(layer.Entry) io.Writer
}

// read brings one layer into the stack: from the store, or fetched, which w may
// watch. One that comes damaged is fetched once more.
func (k *look) read(ctx context.Context, l fetch.Layer, w watcher) (*stackview.Layer, error) {
	layer, err := k.readLayer(ctx, l, w)
	if err != nil {
		return nil, fmt.Errorf("layer %d/%d %s: %w", l.Number, l.Of, l.Name(), err)
	}
	return layer, nil
}

func (k *look) readLayer(ctx context.Context, l fetch.Layer, w watcher) (*stackview.Layer, error) {
	if k.stored(l.DiffID) {
		return storedLayer(ctx, k.stack, k.options.Store, l.DiffID)
	}
	var merging *stackview.Layer
	k.fetch.Tell(l.Event(LayerMissing))
	err := k.fetch.Layer(ctx, l, func(b *fetch.Blob) error {
		merging = k.stack.Layer()
		if w != nil {
			w.begin(merging)
		}
		r, err := k.entries(ctx, b, merging.Record, w)
		if err != nil {
			return err
		}
		return merging.End(r.Facts)
	})
	return merging, err
}

// entries streams one layer through verification to record and to w.
func (k *look) entries(ctx context.Context, b *fetch.Blob, record func(layer.Entry) error, w watcher) (unpack.Result, error) {
	o := unpack.ReadOptions{
		Strict: k.client.options.Strict, Limits: k.options.Limits, Windows: k.options.Windows,
		Record: record, Logger: k.client.log,
	}
	if w != nil {
		o.Content = func(e layer.Entry) (io.Writer, error) { return w.content(e), nil }
		o.Record = func(e layer.Entry) error {
			err := record(e)
			w.record(e)
			return err
		}
	}
	return b.Entries(ctx, o)
}
