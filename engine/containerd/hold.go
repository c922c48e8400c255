// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd/internal/lease"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/overlaystore"
)

// Held are the lowest layers of an image that the engine has, and keeps.
type Held struct {
	g       *giving
	release func() error // removes the mark that its lease is in use
	layers  []digest.Digest
}

// NeedsError says that an image cannot be given before the store has a layer that it
// lacks: the engine no longer has it, or a layer above needs a file of it, and files
// of the engine are not verified.
type NeedsError struct {
	Layer digest.Digest
	err   error
}

func (e *NeedsError) Error() string { return e.err.Error() }

func (e *NeedsError) Unwrap() error { return e.err }

// Hold makes the engine keep those of the lowest layers that it has, until
// [Held.Release], so that an image can be handed over without fetching them. It
// returns nil, without layers, where the engine cannot take layers of the store.
func (e *Engine) Hold(ctx context.Context, store *overlaystore.Store, layers []digest.Digest) (*Held, error) {
	h, err := e.hold(ctx, store, layers)
	if err != nil {
		return nil, fmt.Errorf("ask %s for layers: %w", e.at.Address, err)
	}
	return h, nil
}

func (e *Engine) hold(ctx context.Context, store *overlaystore.Store, layers []digest.Digest) (h *Held, err error) {
	if e.erofs() || e.Serves(store) != nil {
		return nil, nil
	}
	g := &giving{Engine: e, store: store, from: store, image: Image{Image: overlaystore.Image{Layers: layers}}, lease: lease.NewID()}
	if g.owner, err = store.RealPath(); err != nil {
		return nil, err
	}
	chains := chainIDs(layers)
	for range 3 {
		have, err := g.has(ctx, chains)
		if err != nil || have == 0 {
			return nil, err
		}
		h, err := g.held(ctx, chains[:have])
		if !errors.Is(err, errCollected) {
			return h, err
		}
	}
	return nil, nil // its collector was faster each time
}

// held keeps the layers that the engine has under a lease of its own.
func (g *giving) held(ctx context.Context, chains []digest.Digest) (_ *Held, err error) {
	have := len(chains)
	// A diffID that the image repeats higher up must be fetched for that layer.
	layers := slices.DeleteFunc(slices.Clone(g.image.Layers[:have]), func(d digest.Digest) bool {
		return slices.Contains(g.image.Layers[have:], d)
	})
	h := &Held{g: g, layers: layers}
	if h.release, err = given.Begin(ctx, g.store.Dir(), g.lease, g.where()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Release(ctx))
		}
	}()
	if err := g.takeLease(ctx); err != nil {
		return nil, err
	}
	if err := g.keepSnapshot(ctx, chains[have-1]); err != nil {
		return nil, err
	}
	dirs, err := g.directories(ctx, chains)
	if err == nil && len(dirs) != have {
		err = fmt.Errorf("%w: %d layers are %d directories there", ErrUnsupported, have, len(dirs))
	}
	return h, errors.Join(err, closeAll(dirs))
}

// Layers returns the diffIDs that need not be fetched.
func (h *Held) Layers() []digest.Digest {
	if h == nil {
		return nil
	}
	return h.layers
}

// Release lets the engine remove the layers.
func (h *Held) Release(ctx context.Context) error {
	if h == nil {
		return nil
	}
	h.g.dropLease(ctx)
	return h.release()
}
