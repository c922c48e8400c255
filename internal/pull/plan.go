// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/internal/tarsize"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// Plan is what a pull would do.
type Plan struct {
	Resolution    source.Resolution
	Platform      ocispec.Platform // of the image's config
	Layers        []PlannedLayer   // the lowest first, each diffID once
	Fetch         int64            // bytes of layers
	Requests      int
	Bytes, Inodes uint64 // on the disk, of layers that are missing
	Exact         bool   // the size of each missing layer is known
	Free          uint64 // on the disk, less the reserve
	Fits          error  // nil, or why the pull would end before it fetched a layer
	Warnings      []string
}

// PlannedLayer is one layer of a plan.
type PlannedLayer struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
	Present    bool  // in the store
	Partial    bool  // an interrupted pull has kept it, for the next one
	Earlier    bool  // a pull that is planned before this one brings it
	Cached     bool  // its blob is in the cache
	Tar        int64 // bytes of its tar, where it is missing; 0 is unknown
	Begun      int64 // bytes of the blob that an interrupted pull has done with
}

// Before is what the pulls that are planned before bring.
type Before struct {
	Layers        map[digest.Digest]bool
	Bytes, Inodes uint64
}

// Plan says what [Pull.Run] would do after the pulls in before, and does not do it.
func (p *Pull) Plan(ctx context.Context, before Before) (Plan, error) {
	resolution, err := p.resolve(ctx, p.options.Judge)
	if err != nil {
		return Plan{}, err
	}
	plan, err := p.plan(ctx, resolution, before)
	if err != nil {
		return Plan{}, fmt.Errorf("pull %s: %w", resolution.Reference, err)
	}
	return plan, nil
}

func (p *Pull) plan(ctx context.Context, resolution source.Resolution, before Before) (Plan, error) {
	image, err := p.source.Image(ctx, resolution)
	if err != nil {
		return Plan{}, err
	}
	if err := nameable(image); err != nil {
		return Plan{}, err
	}
	missing, err := p.missing(image.Layers)
	if err != nil {
		return Plan{}, err
	}
	partial := map[digest.Digest]bool{}
	missing = slices.DeleteFunc(missing, func(l fetch.Layer) bool {
		partial[l.DiffID] = p.waits(l)
		return before.Layers[l.DiffID] || partial[l.DiffID]
	})
	plan := Plan{Resolution: resolution, Platform: image.Config.Platform, Warnings: image.Warnings}
	tars := p.tars(ctx, missing)
	p.count(&plan, image.Layers, missing, tars, before, partial)
	return plan, p.fit(&plan, missing, tars, before)
}

// fit compares what the layers take with the free space. A layer takes the size of
// its tar or, where that is unknown, of its blob, which is no larger.
func (p *Pull) fit(plan *Plan, missing []fetch.Layer, tars map[digest.Digest]int64, before Before) error {
	plan.Bytes, plan.Inodes = p.least(missing)
	plan.Exact = true
	for _, l := range missing {
		tar := tars[l.DiffID]
		plan.Exact = plan.Exact && tar > 0
		plan.Bytes += uint64(max(tar-l.Descriptor.Size, 0))
	}
	reserve := p.options.Limits.ReserveBytes()
	free, err := p.store.Free()
	if err != nil {
		return err
	}
	plan.Free = free - min(free, reserve)
	if len(missing) == 0 {
		return nil
	}
	var space *overlaystore.SpaceError
	err = p.store.Room(before.Bytes+plan.Bytes+reserve, before.Inodes+plan.Inodes)
	if errors.As(err, &space) {
		plan.Fits, err = err, nil
	}
	return err
}

// tars returns the sizes of the layers' tars, by diffID, as far as the layers tell.
// For a compressed layer it requests a few bytes of the blob; after the first request
// that fails it sends no more.
func (p *Pull) tars(ctx context.Context, missing []fetch.Layer) map[digest.Digest]int64 {
	ctx, cancel := context.WithTimeout(ctx, mostForSizes)
	defer cancel()
	tars := map[digest.Digest]int64{}
	asking := true
	for _, l := range missing {
		var size int64
		var err error
		switch compression := l.Compression(); {
		case compression == manifest.Uncompressed:
			size = l.Descriptor.Size
		case asking && !p.source.Has(l.Descriptor):
			size, err = p.tar(ctx, l.Descriptor, compression)
		}
		if asking = asking && err == nil; size > 0 {
			tars[l.DiffID] = size
		}
	}
	return tars
}

// mostForSizes bounds the time for requests of sizes, which a plan can do without.
const mostForSizes = 20 * time.Second

// tar returns the size of a compressed layer's tar; 0 where the layer does not tell.
func (p *Pull) tar(ctx context.Context, desc ocispec.Descriptor, compression manifest.Compression) (int64, error) {
	off, n, read := max(desc.Size-tarsize.GzipTail, 0), tarsize.GzipTail, tarsize.Gzip
	if compression == manifest.Zstd {
		off, n, read = 0, int(min(tarsize.ZstdHead, desc.Size)), tarsize.Zstd
	}
	if n == 0 || desc.Size < int64(n) {
		return 0, nil
	}
	part, err := p.source.Part(ctx, desc, off, n)
	if err != nil {
		return 0, err
	}
	size, ok := read(part, desc.Size)
	if !ok {
		return 0, nil
	}
	return size, nil
}

// count adds the layers to the plan, and the requests and bytes that they take.
func (p *Pull) count(plan *Plan, layers []manifest.Layer, missing []fetch.Layer, tars map[digest.Digest]int64, before Before, partial map[digest.Digest]bool) {
	absent := map[digest.Digest]bool{}
	for _, l := range missing {
		absent[l.DiffID] = true
	}
	seen := map[digest.Digest]bool{}
	for _, l := range fetch.Number(layers) {
		if seen[l.DiffID] {
			continue
		}
		seen[l.DiffID] = true
		planned := PlannedLayer{
			Descriptor: l.Descriptor, DiffID: l.DiffID, Earlier: before.Layers[l.DiffID],
			Present: !absent[l.DiffID] && !before.Layers[l.DiffID] && !partial[l.DiffID],
			Partial: partial[l.DiffID] && !before.Layers[l.DiffID], Cached: p.source.Has(l.Descriptor), Tar: tars[l.DiffID],
		}
		if remote := p.source.Reference().Transport() == registry.Docker; remote && !planned.Cached && !planned.Earlier && (!planned.Present && !planned.Partial || p.source.KeepsBlobs()) {
			planned.Begun, _ = p.begun(l)
			plan.Fetch += l.Descriptor.Size - planned.Begun
			plan.Requests += p.source.Requests(l.Descriptor)
		}
		plan.Layers = append(plan.Layers, planned)
	}
	plan.Requests += p.source.DocumentRequests(plan.Resolution)
}
