// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/engine/containerd"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// held has the layers of an image to hand over that are not fetched, because the engine
// has them.
type held struct {
	*containerd.Held
	needed []digest.Digest     // layers that are fetched nevertheless
	lease  *overlaystore.Lease // on the layers that are fetched, which no image names
}

// hold returns the layers of an image that need not be fetched, and has the engine keep
// them. There are none unless the image is handed over without its compressed layers.
func (g *Giver) hold(e *containerd.Engine, layers []digest.Digest) ([]digest.Digest, error) {
	if !g.HandsOver() || g.c.Bool("keep-blobs") {
		return nil, nil
	}
	var err error
	if g.held.Held, err = e.Hold(g.c.Context, g.store, layers); err != nil {
		return nil, err
	}
	elsewhere := slices.DeleteFunc(slices.Clone(g.held.Layers()), func(d digest.Digest) bool { return slices.Contains(g.held.needed, d) })
	if len(elsewhere) > 0 {
		g.held.lease, err = g.store.Lease(g.c.Context, "hand over", layers...)
	}
	return elsewhere, err
}

func (g *Giver) release() error {
	released := g.held
	g.held = held{needed: released.needed}
	err := released.Release(g.c.Context)
	if released.lease != nil {
		err = errors.Join(err, released.lease.Release())
	}
	return err
}

// Needs reports whether an image could not be handed over because a layer was not fetched.
// The next pull then fetches that layer.
func (g *Giver) Needs(err error) bool {
	var needs *containerd.NeedsError
	if !g.HandsOver() || !errors.As(err, &needs) || slices.Contains(g.held.needed, needs.Layer) {
		return false
	}
	g.held.needed = append(g.held.needed, needs.Layer)
	if !g.c.Bool("quiet") {
		terminal.NewConsole(g.c.App.ErrWriter).Say("layer %s is fetched too: %v", terminal.Short(needs.Layer), needs)
	}
	return true
}

// forget takes the name of an image that was handed over from the store; the
// layers go with the next prune.
func (g *Giver) forget(ref registry.Reference, img overlaystore.Image) error {
	err := g.store.Remove(g.c.Context, ref.String(), img.Manifest)
	if !errors.Is(err, overlaystore.ErrNotFound) {
		return err
	}
	// The store never had it whole. What the name meant before goes, as where a name
	// moves on, unless it is mounted.
	old, err := g.store.Lookup(ref.String(), platform.Want(img.Platform))
	if err != nil || platform.Format(old.Platform) != platform.Format(img.Platform) {
		return nil // it means nothing
	}
	if err := g.store.Remove(g.c.Context, ref.String(), old.Manifest); err != nil && !errors.Is(err, overlaystore.ErrBusy) {
		return err
	}
	return nil
}
