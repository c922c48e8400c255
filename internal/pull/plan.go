// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// Plan is what a pull would do.
type Plan struct {
	Resolution    source.Resolution
	Layers        []PlannedLayer // the lowest first, each diffID once
	Fetch         int64          // bytes of layers
	Requests      int
	Bytes, Inodes uint64 // on the disk at the least
	Exact         bool   // there was nothing to guess
	Fits          error  // nil, or why the pull would end before it fetched a layer
	Warnings      []string
}

// PlannedLayer is one layer of a plan.
type PlannedLayer struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
	Present    bool // in the store
	Cached     bool // its blob is in the cache
}

// Plan says what [Pull.Run] would do, and does none of it.
func (p *Pull) Plan(ctx context.Context) (Plan, error) {
	resolution, err := p.source.Resolve(ctx)
	if err != nil {
		return Plan{}, err
	}
	image, err := p.source.Image(ctx, resolution)
	if err != nil {
		return Plan{}, fmt.Errorf("pull %s: %w", resolution.Reference, err)
	}
	if err := nameable(image); err != nil {
		return Plan{}, fmt.Errorf("pull %s: %w", resolution.Reference, err)
	}
	missing, err := p.missing(image.Layers)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Resolution: resolution, Warnings: image.Warnings, Exact: len(missing) == 0}
	plan.Bytes, plan.Inodes = p.least(missing)
	var space *overlaystore.SpaceError
	if err := p.store.Room(plan.Bytes, plan.Inodes); errors.As(err, &space) {
		plan.Fits = err
	} else if err != nil {
		return Plan{}, err
	}
	p.count(&plan, image.Layers, missing)
	return plan, nil
}

// count adds what is to be fetched.
func (p *Pull) count(plan *Plan, layers []manifest.Layer, missing []fetch.Layer) {
	absent := map[digest.Digest]bool{}
	for _, l := range missing {
		absent[l.DiffID] = true
	}
	seen := map[digest.Digest]bool{}
	for _, l := range layers {
		if seen[l.DiffID] {
			continue
		}
		seen[l.DiffID] = true
		planned := PlannedLayer{Descriptor: l.Descriptor, DiffID: l.DiffID, Present: !absent[l.DiffID], Cached: p.source.Has(l.Descriptor)}
		plan.Layers = append(plan.Layers, planned)
		if remote := p.source.Reference().Transport() == registry.Docker; remote && !planned.Cached && (!planned.Present || p.source.KeepsBlobs()) {
			plan.Fetch += l.Descriptor.Size
			plan.Requests += p.source.Requests(l.Descriptor)
		}
	}
	plan.Requests += p.source.DocumentRequests(plan.Resolution)
}
