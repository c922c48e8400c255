// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
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

// Pulled is an image that is complete and durable in the store.
type Pulled struct {
	Resolution
	Image overlaystore.Image
	// Fetched counts the layers that were not in the store before.
	Fetched int
	// Traffic is what each host has sent of the layers, in the order in which
	// they came in; nothing for layouts and archives.
	Traffic []registry.Traffic
	// Warnings are what a person should know of this image, a line each.
	Warnings []string
}

// Pull fetches the image that ref means for the client's platform and unpacks
// its layers into the store, in parallel, without ever writing a compressed
// blob, unless the client keeps those. A layer that the store has is not
// fetched.
//
// When it returns without an error the image is complete, verified and
// durable, and ref names it. After an error nothing of it is visible in the
// store, and the next pull starts from where the store stood.
func (c *Client) Pull(ctx context.Context, store *overlaystore.Store, ref string) (Pulled, error) {
	var pulled Pulled
	err := c.with(ctx, ref, func(s *source.Source) (err error) {
		pulled, err = newPull(c, store, s).run(ctx)
		return err
	})
	if err != nil {
		return Pulled{}, err
	}
	return pulled, nil
}

// pull is one image on its way into a store.
type pull struct {
	client  *Client
	source  *source.Source
	fetch   *fetch.Fetcher
	store   *overlaystore.Store
	fetched map[digest.Digest]bool // diffIDs that this pull stages
	paths   *unpack.Paths
}

func newPull(c *Client, store *overlaystore.Store, s *source.Source) *pull {
	return &pull{
		client: c, source: s, fetch: c.fetcher(s, c.options.Progress),
		store: store, fetched: map[digest.Digest]bool{},
		paths: c.paths(),
	}
}

// paths is the memory for the paths of one image's layers.
func (c *Client) paths() *unpack.Paths {
	switch {
	case c.options.Memory < 0:
		return nil
	case c.options.Memory == 0:
		return unpack.NewPaths(512 << 20)
	}
	return unpack.NewPaths(c.options.Memory)
}

// fetcher brings the layers of what was opened.
func (c *Client) fetcher(s *source.Source, hear func(progress.Event)) *fetch.Fetcher {
	return fetch.New(s, fetch.Options{Progress: hear, Buffers: c.buffers, Logger: c.log})
}

func (p *pull) run(ctx context.Context) (Pulled, error) {
	resolution, err := p.source.Resolve(ctx)
	if err != nil {
		return Pulled{}, err // names the reference
	}
	pulled, err := p.resolved(ctx, resolution)
	if err != nil {
		return Pulled{}, fmt.Errorf("pull %s: %w", resolution.Reference, err)
	}
	return pulled, nil
}

func (p *pull) resolved(ctx context.Context, resolution source.Resolution) (pulled Pulled, err error) {
	pulled.Resolution = Resolution(resolution)
	image, err := p.source.Image(ctx, resolution)
	if err != nil {
		return Pulled{}, err
	}
	if err := nameable(image); err != nil {
		return Pulled{}, err
	}
	pulled.Warnings = image.Warnings
	// Until the image's record names its layers nothing else keeps them.
	lease, err := p.store.Lease(ctx, "pull "+resolution.Reference.String(), image.DiffIDs()...)
	if err != nil {
		return Pulled{}, err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	if pulled.Fetched, err = p.layers(ctx, image.Layers); err != nil {
		return Pulled{}, err
	}
	if err := p.keepPresent(ctx, image.Layers); err != nil {
		return Pulled{}, err
	}
	if pulled.Image, err = p.record(ctx, resolution, image); err != nil {
		return Pulled{}, err
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
func (p *pull) layers(ctx context.Context, layers []manifest.Layer) (fetched int, err error) {
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
func (p *pull) missing(layers []manifest.Layer) ([]fetch.Layer, error) {
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
func (p *pull) fill(ctx context.Context, staged []*overlaystore.Staging, layers []fetch.Layer, again stageFunc) error {
	if len(staged) == 0 {
		return nil
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(fetch.Jobs(p.client.options.Jobs))
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

// DefaultJobs is how many layers a pull fetches and unpacks at a time where
// nothing is said: as many as there are processors, two to four.
func DefaultJobs() int { return fetch.Jobs(0) }

func discard(staged []*overlaystore.Staging) error {
	var errs []error
	for _, st := range staged {
		errs = append(errs, st.Discard())
	}
	return errors.Join(errs...)
}
