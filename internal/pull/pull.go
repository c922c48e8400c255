// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/unpack"
)

// Options say how an image is brought into a store. Logger must be set.
type Options struct {
	// Jobs is how many layers are worked on at a time; 0 goes by the machine.
	Jobs    int
	Strict  bool
	Limits  unpack.Limits
	Windows *unpack.Windows
	// Paths is the memory for the paths of all layers; nil is no bound.
	Paths   *unpack.Paths
	Devices unpack.Devices
	// Admit is asked with the image's diffIDs before a layer is fetched; nil
	// admits all.
	Admit  func(context.Context, source.Resolution, []digest.Digest) error
	Logger *slog.Logger
	// Patience is how long another process may take over a layer; 0 goes by
	// the layer's size.
	Patience time.Duration
	// Unrecorded and Serial are to measure what they cost: no record of each
	// path, no stages that work beside each other.
	Unrecorded, Serial bool
}

// Result is an image that is complete and durable in the store.
type Result struct {
	Resolution source.Resolution
	Image      overlaystore.Image
	Fetched    int // layers that were not in the store before
	Traffic    []registry.Traffic
	Warnings   []string
}

// Pull is one image on its way into a store.
type Pull struct {
	source  *source.Source
	fetch   *fetch.Fetcher
	store   *overlaystore.Store
	options Options
	fetched map[digest.Digest]bool // diffIDs that this pull stages
}

// New prepares to bring what f fetches from into a store.
func New(f *fetch.Fetcher, store *overlaystore.Store, o Options) *Pull {
	return &Pull{source: f.Source(), fetch: f, store: store, options: o, fetched: map[digest.Digest]bool{}}
}

// Run brings the image into the store: all of it, durable, or nothing.
func (p *Pull) Run(ctx context.Context) (Result, error) {
	resolution, err := p.source.Resolve(ctx)
	if err != nil {
		return Result{}, err // names the reference
	}
	pulled, err := p.resolved(ctx, resolution)
	if err != nil {
		return Result{}, fmt.Errorf("pull %s: %w", resolution.Reference, err)
	}
	return pulled, nil
}

func (p *Pull) resolved(ctx context.Context, resolution source.Resolution) (pulled Result, err error) {
	pulled.Resolution = resolution
	image, err := p.source.Image(ctx, resolution)
	if err != nil {
		return Result{}, err
	}
	if err := nameable(image); err != nil {
		return Result{}, err
	}
	if p.options.Admit != nil {
		if err := p.options.Admit(ctx, resolution, image.DiffIDs()); err != nil {
			return Result{}, err
		}
	}
	pulled.Warnings = image.Warnings
	// Until the image's record names its layers nothing else keeps them.
	lease, err := p.store.Lease(ctx, "pull "+resolution.Reference.String(), image.DiffIDs()...)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	if pulled.Fetched, err = p.layers(ctx, image.Layers); err != nil {
		return Result{}, err
	}
	if err := p.keepPresent(ctx, image.Layers); err != nil {
		return Result{}, err
	}
	if pulled.Image, err = p.record(ctx, resolution, image); err != nil {
		return Result{}, err
	}
	pulled.Traffic = p.source.Traffic()
	pulled.Warnings = append(pulled.Warnings, p.fetch.Warnings()...)
	return pulled, nil
}

// layers brings every layer that the store lacks into it.
//
// Layers that no other process works on are staged at once, in parallel, and
// committed together by one sync. Only then, holding no lock, does it wait
// for the others, one at a time: two pulls that each hold a layer the other
// one wants would otherwise wait for ever. What another process does not bring
// in good time it fetches itself.
func (p *Pull) layers(ctx context.Context, layers []manifest.Layer) (fetched int, err error) {
	missing, err := p.missing(layers)
	if err != nil {
		return 0, err
	}
	if err := p.room(missing); err != nil {
		return 0, err
	}
	for _, l := range missing {
		p.fetch.Tell(l.Event(progress.LayerMissing))
	}
	var busy []fetch.Layer
	var staged []*overlaystore.Staging
	var own []fetch.Layer
	defer func() { err = errors.Join(err, discard(staged)) }()
	for _, l := range missing {
		st, err := p.store.TryStage(ctx, l.DiffID)
		switch {
		case errors.Is(err, overlaystore.ErrBusy):
			busy = append(busy, l)
		case errors.Is(err, overlaystore.ErrExists):
		case err != nil:
			return 0, err
		default:
			staged, own = append(staged, st), append(own, l)
		}
	}
	if err := p.fill(ctx, staged, own, p.stage); err != nil {
		return 0, err
	}
	fetched = len(staged)
	begin := time.Now()
	for _, l := range busy {
		brought, err := p.wait(ctx, l, time.Until(begin.Add(p.patience(busy, l))))
		if err != nil {
			return 0, err
		}
		if brought {
			fetched++
		}
	}
	return fetched, nil
}

// missing lists the layers that the store lacks, each diffID once: images may
// repeat a layer.
func (p *Pull) missing(layers []manifest.Layer) ([]fetch.Layer, error) {
	var missing []fetch.Layer
	for _, n := range fetch.Distinct(layers) {
		has, err := p.store.HasLayer(n.DiffID)
		if err != nil {
			return nil, err
		}
		if has {
			p.fetch.Tell(n.Event(progress.LayerPresent))
			continue
		}
		missing = append(missing, n)
	}
	return missing, nil
}

// fill fetches and unpacks the layers into their stagings and commits them.
// again begins a layer's staging once more.
func (p *Pull) fill(ctx context.Context, staged []*overlaystore.Staging, layers []fetch.Layer, again stageFunc) error {
	if len(staged) == 0 {
		return nil
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(fetch.Jobs(p.options.Jobs))
	for i := range staged {
		p.fetched[layers[i].DiffID] = true
		group.Go(func() error {
			if err := groupCtx.Err(); err != nil {
				return err
			}
			if err := p.layer(groupCtx, &staged[i], layers[i], again); err != nil {
				return fmt.Errorf("layer %d/%d %s: %w", layers[i].Number, layers[i].Of, layers[i].Descriptor.Digest, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	p.fetch.Tell(progress.Event{Kind: progress.Committing})
	return p.store.Commit(ctx, staged...)
}

func discard(staged []*overlaystore.Staging) error {
	var errs []error
	for _, st := range staged {
		errs = append(errs, st.Discard())
	}
	return errors.Join(errs...)
}
