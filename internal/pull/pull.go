// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
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
	Admit func(context.Context, source.Resolution, []digest.Digest) error
	// Layers hears of an image's diffIDs before its layers come; nil is nobody.
	Layers func(context.Context, []digest.Digest) (Taker, error)
	Logger *slog.Logger
	// Trust lets an image in, before a layer is asked for, and Judge says for a
	// plan whether it would; nil lets all in.
	Trust, Judge func(context.Context, source.Resolution) error
	// Patience is how long another process may take over a layer; 0 goes by
	// the layer's size.
	Patience time.Duration
	// Settle is how long a finished layer waits for the others of its image before
	// it is written to the disk by itself; 0 means 15 seconds.
	Settle time.Duration
	// Checkpoint is how far apart checkpoints of a layer on its way are, for the
	// next pull to go on from; 0 means a quarter of a second.
	Checkpoint time.Duration
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
	mu      sync.Mutex
	diffIDs []digest.Digest        // of the image, the lowest first
	fetched map[digest.Digest]bool // diffIDs that this pull fetches
	taker   Taker
	absent  int // layers that are elsewhere, and not in the store
	behind  *behind
}

// New prepares to bring what f fetches from into a store.
func New(f *fetch.Fetcher, store *overlaystore.Store, o Options) *Pull {
	return &Pull{source: f.Source(), fetch: f, store: store, options: o, fetched: map[digest.Digest]bool{}}
}

// Run brings the image into the store: all of it, durable, or nothing.
func (p *Pull) Run(ctx context.Context) (Result, error) {
	resolution, err := p.resolve(ctx, p.options.Trust)
	if err != nil {
		return Result{}, err // names the reference
	}
	pulled, err := p.resolved(ctx, resolution)
	if err != nil {
		return Result{}, fmt.Errorf("pull %s: %w", resolution.Reference, err)
	}
	return pulled, nil
}

// resolve chooses the image and asks whether it is let in.
func (p *Pull) resolve(ctx context.Context, admit func(context.Context, source.Resolution) error) (source.Resolution, error) {
	r, err := p.source.Resolve(ctx)
	if err == nil && admit != nil {
		err = admit(ctx, r)
	}
	return r, err
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
	p.diffIDs = image.DiffIDs()
	if p.options.Admit != nil {
		if err := p.options.Admit(ctx, resolution, p.diffIDs); err != nil {
			return Result{}, err
		}
	}
	pulled.Warnings = image.Warnings
	// Until the image's record names its layers nothing else keeps them.
	lease, err := p.store.Lease(ctx, "pull "+resolution.Reference.String(), p.diffIDs...)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	if p.options.Layers != nil {
		if p.taker, err = p.options.Layers(ctx, p.diffIDs); err != nil {
			return Result{}, err
		}
	}
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
	if err := p.room(slices.DeleteFunc(slices.Clone(missing), p.waits)); err != nil {
		return 0, err
	}
	for _, l := range missing {
		p.fetch.Tell(l.Event(progress.LayerMissing))
	}
	var busy []fetch.Layer
	var staged []*overlaystore.Staging
	var own []fetch.Layer
	defer func() { err = errors.Join(err, leave(ctx, staged)) }()
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
	if fetched, err = p.fill(ctx, staged, own, p.stage); err != nil {
		return 0, err
	}
	begin := time.Now()
	for _, l := range busy {
		brought, err := p.wait(ctx, l, time.Until(begin.Add(p.patience(busy, l))))
		if err != nil {
			return 0, err
		}
		fetched += brought
	}
	return fetched, nil
}

// missing lists the layers that are to come, each diffID once: images may
// repeat a layer.
func (p *Pull) missing(layers []manifest.Layer) ([]fetch.Layer, error) {
	var missing []fetch.Layer
	for _, n := range fetch.Distinct(layers) {
		has, err := p.store.HasLayer(n.DiffID)
		if err != nil {
			return nil, err
		}
		elsewhere := !has && slices.Contains(p.taker.Elsewhere, n.DiffID)
		if elsewhere {
			p.absent++
		}
		if has || elsewhere {
			p.fetch.Tell(n.Event(progress.LayerPresent))
			continue
		}
		missing = append(missing, n)
	}
	return missing, nil
}

// waits reports whether an interrupted pull has kept the layer. Whether it is
// whole shows when it is taken up.
func (p *Pull) waits(l fetch.Layer) bool {
	waits, err := p.store.Waits(l.DiffID)
	return waits && err == nil
}

// fill fetches and unpacks the layers into their stagings, but for those that an
// interrupted pull has kept, and commits them. again begins a layer's staging
// once more.
func (p *Pull) fill(ctx context.Context, staged []*overlaystore.Staging, layers []fetch.Layer, again stageFunc) (fetched int, err error) {
	if len(staged) == 0 {
		return 0, nil
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(fetch.Jobs(p.options.Jobs))
	if p.behind, err = p.newBehind(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.behind.end(ctx)) }()
	keeper := p.keeper(ctx)
	for i := range staged {
		group.Go(func() error {
			if err := groupCtx.Err(); err != nil {
				return err
			}
			if err := p.fillOne(groupCtx, &staged[i], layers[i], again, keeper); err != nil {
				return fmt.Errorf("layer %d/%d %s: %w", layers[i].Number, layers[i].Of, layers[i].Descriptor.Digest, err)
			}
			return nil
		})
	}
	err = group.Wait()
	if err := errors.Join(err, keeper.end()); err != nil {
		return 0, err
	}
	p.fetch.Tell(progress.Event{Kind: progress.Committing})
	p.behind.more(ctx)
	p.taker.all(ctx)
	for _, l := range layers {
		if p.fetched[l.DiffID] {
			fetched++
		}
	}
	return fetched, p.commit(ctx, staged)
}

// commit makes layers visible, and the index of their image with them, where all
// of these are there.
func (p *Pull) commit(ctx context.Context, layers []*overlaystore.Staging) error {
	index, err := p.store.StageIndex(ctx, p.diffIDs, layers)
	if err != nil {
		return err
	}
	if index != nil {
		layers = append(slices.Clone(layers), index)
	}
	return p.store.Commit(ctx, layers...)
}

// fillOne fills one layer's staging, and has it kept.
func (p *Pull) fillOne(ctx context.Context, st **overlaystore.Staging, l fetch.Layer, again stageFunc, k *keeper) error {
	taken, err := (*st).TakeUp(ctx)
	if err != nil {
		return err
	}
	if taken {
		p.fetch.Tell(l.Event(progress.LayerPresent))
		p.taker.came(l.DiffID, (*st).Dir())
		return nil
	}
	p.mu.Lock()
	p.fetched[l.DiffID] = true
	p.mu.Unlock()
	whole, err := p.goOn(ctx, st, l, again)
	if err == nil && !whole {
		err = p.layer(ctx, st, l, again)
	}
	if err != nil {
		return err
	}
	if err := k.keep(ctx, *st); err != nil {
		return err
	}
	p.taker.came(l.DiffID, (*st).Dir())
	return nil
}

// leaveWithin is how long a process that is told to end may take to make the
// checkpoints of its layers durable.
const leaveWithin = time.Second

// leave gives the stagings up; those that are kept stay for the next pull.
func leave(ctx context.Context, staged []*overlaystore.Staging) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	var all sync.WaitGroup // their syncs are one, if they are at the same time
	errs := make([]error, len(staged))
	for i, st := range staged {
		all.Go(func() { errs[i] = st.Leave(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}
