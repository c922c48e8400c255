// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/layerctl/layerctl/internal/merged"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// watcher sees a layer that is fetched go by: its journal, behind the layer
// itself, and the contents of which it wants some.
type watcher interface {
	// begin says that the layer comes, from its first byte.
	begin(*merged.Layer)
	record(layer.Entry)
	content(layer.Entry) io.Writer
}

// read brings one layer into the stack: from the store, or fetched, which w may
// watch. One that comes damaged is fetched once more.
func (k *look) read(ctx context.Context, l numbered, w watcher) (*merged.Layer, error) {
	layer, err := k.readOnce(ctx, l, w)
	if worthAgain(err) {
		k.client.log.Warn("fetch the layer again", "digest", l.Descriptor.Digest, "error", err)
		k.tell(l.event(LayerAgain))
		layer, err = k.readOnce(ctx, l, w)
	}
	if err != nil {
		return nil, fmt.Errorf("layer %d/%d %s: %w", l.number, l.of, l.name(), err)
	}
	return layer, nil
}

// name is the digest that a layer is fetched by, if it is.
func (l numbered) name() string {
	if l.Descriptor.Digest != "" {
		return l.Descriptor.Digest.String()
	}
	return l.DiffID.String()
}

func (k *look) readOnce(ctx context.Context, l numbered, w watcher) (*merged.Layer, error) {
	if k.stored(l.DiffID) {
		return storedLayer(ctx, k.stack, k.options.Store, l.DiffID)
	}
	merging := k.stack.Layer()
	if w != nil {
		w.begin(merging)
	}
	r, err := k.fetch(ctx, l, merging.Record, w)
	if err != nil {
		return nil, err
	}
	return merging, merging.End(r.Facts)
}

// fetch streams one layer through verification to record and to w.
func (k *look) fetch(ctx context.Context, l numbered, record func(layer.Entry) error, w watcher) (unpack.Result, error) {
	blob, err := k.source.Blob(ctx, l.Descriptor)
	if err != nil {
		return unpack.Result{}, err
	}
	o := unpack.ReadOptions{
		Strict: k.client.options.Strict, Limits: k.options.Limits, Windows: k.options.Windows,
		Buffers: k.client.buffers, Record: record, Logger: k.client.log,
	}
	if w != nil {
		o.Content = func(e layer.Entry) (io.Writer, error) { return w.content(e), nil }
		o.Record = func(e layer.Entry) error {
			err := record(e)
			w.record(e)
			return err
		}
	}
	k.tell(l.event(LayerMissing))
	event, high := l.event(LayerProgress), int64(0)
	k.tell(event)
	counted := &counting{r: blob, high: &high, report: func(n int64) { event.Offset = n; k.tell(event) }}
	r, err := unpack.Read(ctx, counted, unpack.Source{MediaType: l.Descriptor.MediaType, DiffID: l.DiffID, Size: l.Descriptor.Size}, o)
	return r, errors.Join(err, blob.Close())
}

func (k *look) tell(e Event) {
	if k.options.Progress != nil {
		k.options.Progress(e)
	}
}
