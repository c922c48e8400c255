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
	Layers []PlannedLayer // the lowest first, each diffID once
	// Fetch is how many bytes of layers would be fetched.
	Fetch int64
	// Requests is how many it would take, one for each layer, without those
	// for tokens and redirects; manifests and config too if they are not kept.
	Requests int
	// Bytes and Inodes are what it would take on the disk at the least, for
	// how far a layer grows shows only when it is unpacked: Exact says that
	// there was nothing to guess.
	Bytes, Inodes uint64
	Exact         bool
	// Fits is nil, or the *overlaystore.SpaceError with which the pull would
	// end before it fetched a layer.
	Fits error
	// Warnings are those of the pull.
	Warnings []string
}

// PlannedLayer is one layer of a plan.
type PlannedLayer struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
	Present    bool // in the store
	Cached     bool // its blob is in the cache
}

// Plan says what [Client.Pull] would do, and does none of it: manifests and
// config are read, and kept in the cache if there is one. That the image would
// not fit is no error of Plan's; see [Plan.Fits].
func (c *Client) Plan(ctx context.Context, store *overlaystore.Store, ref string) (Plan, error) {
	var p pull.Plan
	err := c.with(ctx, ref, func(s *source.Source) (err error) {
		p, err = c.pull(store, s, nil).Plan(ctx)
		return err
	})
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{
		Resolution: Resolution(p.Resolution), Fetch: p.Fetch, Requests: p.Requests,
		Bytes: p.Bytes, Inodes: p.Inodes, Exact: p.Exact, Fits: p.Fits, Warnings: p.Warnings,
	}
	for _, l := range p.Layers {
		plan.Layers = append(plan.Layers, PlannedLayer(l))
	}
	return plan, nil
}
