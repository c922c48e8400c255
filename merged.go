// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/overlaystore"
)

// storedLayer feeds the stack with a layer that the store has.
func storedLayer(ctx context.Context, stack *stackview.Stack, store *overlaystore.Store, diffID digest.Digest) (_ *stackview.Layer, err error) {
	record, err := store.Layer(diffID)
	if err != nil {
		return nil, err
	}
	dir, err := store.OpenLayer(diffID)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	layer := stack.Layer()
	for e, err := range dir.Entries(ctx) {
		if err == nil {
			err = layer.Record(e)
		}
		if err != nil {
			return nil, fmt.Errorf("read the journal of layer %s: %w", diffID, err)
		}
	}
	return layer, layer.End(record.Facts)
}

// storedView merges an image whose layers the store has, the lowest first.
func storedView(ctx context.Context, store *overlaystore.Store, diffIDs []digest.Digest, o stackview.Options) (*stackview.View, error) {
	stack := stackview.NewStack(o)
	byID := map[digest.Digest]*stackview.Layer{}
	var layers []*stackview.Layer
	for _, diffID := range diffIDs {
		if byID[diffID] == nil {
			layer, err := storedLayer(ctx, stack, store, diffID)
			if err != nil {
				return nil, err
			}
			byID[diffID] = layer
		}
		layers = append(layers, byID[diffID])
	}
	return stack.Merge(layers...)
}
