// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/pull"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/overlaystore"
)

// Plan is what a pull would do.
type Plan struct {
	Resolution
	// Platform is that of the image's config.
	Platform ocispec.Platform
	Layers   []PlannedLayer // the lowest first, each diffID once
	// Fetch is how many bytes of layers would be fetched, without those begun.
	Fetch int64
	// Requests is how many it would take, one for each layer, without those
	// for tokens and redirects; manifests and config too if they are not kept.
	Requests int
	// Bytes and Inodes are what it would take on the disk: bytes of the layers'
	// tars, as far as the layers tell their size, else of their blobs, which is
	// the least; inodes at the least. Exact says that all told it. Nobody can
	// verify before a pull what they tell.
	Bytes, Inodes uint64
	Exact         bool
	// Free is what the disk has free, less the reserve, before all plans.
	Free uint64
	// Fits is nil, or a *overlaystore.SpaceError: the disk has not room for this
	// and what is planned before it. Where Exact is false nil is a perhaps.
	Fits error
	// Warnings are those of the pull.
	Warnings []string
}

// PlannedLayer is one layer of a plan.
type PlannedLayer struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
	Present    bool  // in the store
	Partial    bool  // an interrupted pull has kept it, for the next one
	Earlier    bool  // an image that is planned before brings it
	Cached     bool  // its blob is in the cache
	Tar        int64 // bytes unpacked as a tar, of a layer to fetch; 0 is not known
	Begun      int64 // bytes of the blob that an interrupted pull has done with
}

// Plan says what [Client.Pull] would do after the pulls that are planned before,
// and does none of it: manifests and config are read, and kept in the cache if
// there is one, and of each compressed layer that is to be fetched a few bytes
// are. That the image would not fit is no error of Plan's; see [Plan.Fits].
func (c *Client) Plan(ctx context.Context, store *overlaystore.Store, ref string, before ...Plan) (Plan, error) {
	var p pull.Plan
	earlier := pull.Before{Layers: map[digest.Digest]bool{}}
	for _, b := range before {
		earlier.Bytes, earlier.Inodes = earlier.Bytes+b.Bytes, earlier.Inodes+b.Inodes
		for _, l := range b.Layers {
			earlier.Layers[l.DiffID] = earlier.Layers[l.DiffID] || !l.Present
		}
	}
	err := c.with(ctx, ref, func(s *source.Source) (err error) {
		p, err = c.pull(store, s, nil).Plan(ctx, earlier)
		return err
	})
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{
		Resolution: Resolution(p.Resolution), Platform: p.Platform, Free: p.Free, Fetch: p.Fetch, Requests: p.Requests,
		Bytes: p.Bytes, Inodes: p.Inodes, Exact: p.Exact, Fits: p.Fits, Warnings: p.Warnings,
	}
	for _, l := range p.Layers {
		plan.Layers = append(plan.Layers, PlannedLayer(l))
	}
	return plan, nil
}
