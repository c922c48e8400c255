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
	// Fetch is how many bytes of layers the pull would fetch, without those that
	// an interrupted pull has done with.
	Fetch int64
	// Requests is how many requests the pull would send: one for each layer, and
	// those for manifests and config where no cache keeps them, without tokens
	// and redirects.
	Requests int
	// Bytes and Inodes are what the pull would take on the disk, Inodes at the
	// least. Bytes adds up the sizes of the layers' tars. A layer whose blob does
	// not tell its tar's size counts with its blob's, which is less; Exact says
	// that all told it. What they tell cannot be verified before the pull.
	Bytes, Inodes uint64
	Exact         bool
	// Free is how many bytes the disk has free, less the reserve, before all plans.
	Free uint64
	// Fits is nil, or an *overlaystore.SpaceError: the disk has no room for this
	// pull and those planned before it. Where Exact is false nil means perhaps.
	Fits error
	// Warnings are those that the pull would give.
	Warnings []string
}

// PlannedLayer is one layer of a plan.
type PlannedLayer struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
	Present    bool  // in the store
	Partial    bool  // an interrupted pull has kept it, for the next one
	Earlier    bool  // a pull that is planned before this one brings it
	Cached     bool  // its blob is in the cache
	Tar        int64 // bytes of its tar, where it is to be fetched; 0 is unknown
	Begun      int64 // bytes of the blob that an interrupted pull has done with
}

// Plan says what [Client.Pull] would do after the pulls that are planned in
// before. It reads the manifests and the config, which a cache keeps, and a few
// bytes of each compressed layer that would be fetched; it changes nothing else.
// An image that would not fit on the disk is no error; see [Plan.Fits].
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
