// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/unpack"
)

// PullOptions say how [Client.Pull] works; the zero value works.
type PullOptions struct {
	// Jobs is how many layers are fetched and unpacked at a time; 0 means
	// [DefaultJobs].
	Jobs int
	// Limits bound what a layer may cost; see [unpack.Limits].
	Limits unpack.Limits
	// Windows is what zstd layers with large windows share; see
	// [unpack.Options].
	Windows *unpack.Windows
	// Devices is what becomes of device nodes in layers that are not in the
	// store yet; zero makes them where the process may.
	Devices unpack.Devices
	// Progress hears of every step, from several goroutines at once, and must
	// not block for long; nil hears nothing.
	Progress func(Event)

	// To measure what they cost: no record of each path, no stages that work
	// beside each other.
	unrecorded, serial bool
}

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
func (c *Client) Pull(ctx context.Context, store *overlaystore.Store, ref string, o PullOptions) (Pulled, error) {
	source, err := c.open(ctx, ref)
	if err != nil {
		return Pulled{}, err
	}
	p := newPull(c, store, source, o)
	pulled, err := p.run(ctx)
	if err = closing(err, source); err != nil {
		return Pulled{}, err
	}
	return pulled, nil
}

// pull is one image on its way into a store.
type pull struct {
	transfer
	store   *overlaystore.Store
	options PullOptions
	fetched map[digest.Digest]bool // diffIDs that this pull stages
}

func newPull(c *Client, store *overlaystore.Store, source *origin, o PullOptions) *pull {
	return &pull{
		transfer: transfer{client: c, source: source, progress: o.Progress},
		store:    store, options: o, fetched: map[digest.Digest]bool{},
	}
}

func (p *pull) run(ctx context.Context) (Pulled, error) {
	resolution, err := p.client.resolve(ctx, p.source)
	if err != nil {
		return Pulled{}, err // names the reference
	}
	pulled, err := p.resolved(ctx, resolution)
	if err != nil {
		return Pulled{}, fmt.Errorf("pull %s: %w", resolution.Reference, err)
	}
	return pulled, nil
}

func (p *pull) resolved(ctx context.Context, resolution Resolution) (pulled Pulled, err error) {
	pulled.Resolution = resolution
	image, err := p.client.image(ctx, p.source, resolution)
	if err != nil {
		return Pulled{}, err
	}
	pulled.Warnings = image.warnings
	// Until the image's record names its layers nothing else keeps them.
	lease, err := p.store.Lease(ctx, "pull "+resolution.Reference.String(), image.diffIDs()...)
	if err != nil {
		return Pulled{}, err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	if pulled.Fetched, err = p.layers(ctx, image.layers); err != nil {
		return Pulled{}, err
	}
	if err := p.keepPresent(ctx, image.layers); err != nil {
		return Pulled{}, err
	}
	if pulled.Image, err = p.record(ctx, resolution, image); err != nil {
		return Pulled{}, err
	}
	pulled.Traffic = p.source.Traffic()
	pulled.Warnings = append(pulled.Warnings, p.warnings...)
	return pulled, nil
}

// layers brings every layer that the store lacks into it.
//
// Layers that no other process works on are staged at once, in parallel, and
// committed together by one sync. Only then, holding no lock, does it wait
// for the others, one at a time: two pulls that each hold a layer the other
// one wants would otherwise wait for ever.
func (p *pull) layers(ctx context.Context, layers []manifest.Layer) (fetched int, err error) {
	missing, err := p.missing(layers)
	if err != nil {
		return 0, err
	}
	if err := p.room(missing); err != nil {
		return 0, err
	}
	for _, l := range missing {
		p.tell(l.event(LayerMissing))
	}
	var busy []numbered
	var staged []*overlaystore.Staging
	var own []numbered
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
	if err := p.fill(ctx, staged, own); err != nil {
		return 0, err
	}
	fetched = len(staged)
	for _, l := range busy {
		p.tell(l.event(LayerWaiting))
		st, err := p.store.Stage(ctx, l.DiffID)
		if errors.Is(err, overlaystore.ErrExists) {
			p.tell(l.event(LayerPresent))
			continue
		}
		if err != nil {
			return 0, err
		}
		own := []*overlaystore.Staging{st}
		err = p.fill(ctx, own, []numbered{l})
		if err = errors.Join(err, discard(own)); err != nil {
			return 0, err
		}
		fetched++
	}
	return fetched, nil
}

// numbered is a layer with its place in the image, from 1, for people.
type numbered struct {
	manifest.Layer
	number, of int
}

func (l numbered) event(kind EventKind) Event {
	return Event{Kind: kind, Layer: l.Descriptor, Number: l.number, Of: l.of}
}

// missing lists the layers that the store lacks, each diffID once: images may
// repeat a layer.
func (p *pull) missing(layers []manifest.Layer) ([]numbered, error) {
	var missing []numbered
	seen := map[digest.Digest]bool{}
	for i, l := range layers {
		if seen[l.DiffID] {
			continue
		}
		seen[l.DiffID] = true
		n := numbered{Layer: l, number: i + 1, of: len(layers)}
		has, err := p.store.HasLayer(l.DiffID)
		if err != nil {
			return nil, err
		}
		if has {
			p.tell(n.event(LayerPresent))
			continue
		}
		missing = append(missing, n)
	}
	return missing, nil
}

// fill fetches and unpacks the layers into their stagings and commits them.
func (p *pull) fill(ctx context.Context, staged []*overlaystore.Staging, layers []numbered) error {
	if len(staged) == 0 {
		return nil
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(jobs(p.options.Jobs))
	for i := range staged {
		p.fetched[layers[i].DiffID] = true
		group.Go(func() error {
			if err := groupCtx.Err(); err != nil {
				return err
			}
			if err := p.layer(groupCtx, &staged[i], layers[i]); err != nil {
				return fmt.Errorf("layer %d/%d %s: %w", layers[i].number, layers[i].of, layers[i].Descriptor.Digest, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	p.tell(Event{Kind: Committing})
	return p.store.Commit(ctx, staged...)
}

// jobs is how many layers are worked on at a time where n are asked for.
func jobs(n int) int {
	if n > 0 {
		return n
	}
	return DefaultJobs()
}

// DefaultJobs is how many layers a pull fetches and unpacks at a time where
// nothing is said: as many as there are processors, two to four.
func DefaultJobs() int { return min(max(2, runtime.GOMAXPROCS(0)), 4) }

func discard(staged []*overlaystore.Staging) error {
	var errs []error
	for _, st := range staged {
		errs = append(errs, st.Discard())
	}
	return errors.Join(errs...)
}

// closing closes c and keeps its error only where there is none before it.
func closing(err error, c io.Closer) error {
	if closeErr := c.Close(); err == nil {
		return closeErr
	}
	return err
}
