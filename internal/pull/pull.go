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

// Options say how an image is pulled. Logger must be set.
type Options struct {
	// Jobs is how many layers are fetched and unpacked at a time; 0 depends on the
	// number of processors.
	Jobs    int
	Strict  bool
	Limits  unpack.Limits
	Windows *unpack.Windows
	// Paths bounds the memory for the paths of all layers; nil does not.
	Paths   *unpack.Paths
	Devices unpack.Devices
	// Admit is called with the image's diffIDs before any layer is fetched; its error
	// refuses the image. nil accepts all.
	Admit func(context.Context, source.Resolution, []digest.Digest) error
	// Layers is called with the image's diffIDs before any layer is fetched, and
	// returns who takes the layers; nil is not called.
	Layers func(context.Context, []digest.Digest) (Taker, error)
	Logger *slog.Logger
	// Trust decides whether an image may be pulled, before any layer is requested;
	// Judge tells a plan what Trust would decide. nil accepts all.
	Trust, Judge func(context.Context, source.Resolution) error
	// Patience is how long another process may take over a layer; 0 depends on the
	// layer's size.
	Patience time.Duration
	// Settle is how long a finished layer waits for the sync at the end of the pull
	// before it gets one of its own; 0 means 15 seconds.
	Settle time.Duration
	// Checkpoint is the time between two checkpoints of a layer; 0 means a quarter of
	// a second.
	Checkpoint time.Duration
	// Unrecorded leaves out the journals, and Serial the stages of unpacking that work
	// beside each other, to measure what these cost.
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
	absent  int // layers that the taker has and the store lacks
	behind  *behind
}

// New prepares a pull of f's image into a store.
func New(f *fetch.Fetcher, store *overlaystore.Store, o Options) *Pull {
	return &Pull{source: f.Source(), fetch: f, store: store, options: o, fetched: map[digest.Digest]bool{}}
}

// Run puts the image into the store, all of it and durable, or returns an error.
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

// resolve chooses the image, and asks admit whether it may be pulled.
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
	// Until the image's record names its layers only the lease keeps them.
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

// layers puts every layer that the store lacks into it.
//
// It stages all layers that no other process is fetching, fetches them in parallel
// and commits them together by one sync. Only then, when it holds no lock, it waits
// for the other layers, one at a time: two pulls that each hold a layer that the
// other one wants would otherwise wait for ever. A layer that another process does
// not commit in good time it fetches itself.
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

// missing lists the layers to fetch, each diffID once, for images may repeat a layer.
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

// waits reports whether an interrupted pull has kept the finished layer, which is
// checked only when it is taken up.
func (p *Pull) waits(l fetch.Layer) bool {
	waits, err := p.store.Waits(l.DiffID)
	return waits && err == nil
}

// fill fetches and unpacks the layers into their stagings, or takes up what an
// interrupted pull has kept, and commits them. again stages a layer once more.
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

// commit commits layers, and with them the index of their image, if the store then
// has all its layers.
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

// fillOne fills one layer's staging, and keeps it.
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

// leaveWithin is how long making the last checkpoints durable may delay the end of an
// interrupted pull.
const leaveWithin = time.Second

// leave ends the stagings. Kept ones stay for the next pull.
func leave(ctx context.Context, staged []*overlaystore.Staging) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	var all sync.WaitGroup // at the same time, so that their syncs become one
	errs := make([]error, len(staged))
	for i, st := range staged {
		all.Go(func() { errs[i] = st.Leave(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}
