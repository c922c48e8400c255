// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// Repaired is what a repair has put in place.
type Repaired struct {
	Layers []digest.Digest // fetched again
	Fixes  []digest.Digest // made again
}

// Repair mends what a verification found: it fetches just the damaged layers
// again, from where one of their images came from, and makes damaged fix
// layers anew. Each is put in place atomically; what is mounted goes on with
// the old directory. It mends as much as it can; the error names the rest.
func (c *Client) Repair(ctx context.Context, store *overlaystore.Store, report overlaystore.Report) (Repaired, error) {
	images, err := store.Images()
	if err != nil {
		return Repaired{}, err
	}
	var done Repaired
	var errs []error
	layers, fixes := report.Damaged()
	for i, diffID := range layers {
		if err := c.repairLayer(ctx, store, images, diffID, i+1, len(layers)); err != nil {
			errs = append(errs, fmt.Errorf("repair layer %s: %w", diffID, err))
			continue
		}
		done.Layers = append(done.Layers, diffID)
	}
	for _, chainID := range fixes {
		i := slices.IndexFunc(images, func(i overlaystore.Image) bool { return i.Fix == chainID })
		if i < 0 {
			continue // no image needs it; a prune takes it away
		}
		if err := store.RepairFix(ctx, images[i]); err != nil {
			errs = append(errs, err)
			continue
		}
		done.Fixes = append(done.Fixes, chainID)
	}
	return done, errors.Join(errs...)
}

func (c *Client) repairLayer(ctx context.Context, store *overlaystore.Store, images []overlaystore.Image, diffID digest.Digest, number, of int) error {
	var errs []error
	for _, img := range images {
		if !slices.Contains(img.Layers, diffID) {
			continue
		}
		for _, ref := range img.Refs {
			err := c.refetch(ctx, store, img, ref, diffID, number, of)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return errors.New("no image with a reference has it; prune removes it")
	}
	return errors.Join(errs...)
}

// refetch brings one layer of a stored image again, from ref.
func (c *Client) refetch(ctx context.Context, store *overlaystore.Store, img overlaystore.Image, ref string, diffID digest.Digest, number, of int) error {
	c = c.For(platform.Format(img.Platform))
	return c.with(ctx, ref, func(s *source.Source) error {
		return newPull(c, store, s).refetch(ctx, img, diffID, number, of)
	})
}

func (p *pull) refetch(ctx context.Context, img overlaystore.Image, diffID digest.Digest, number, of int) (err error) {
	desc, err := p.blobOf(ctx, img, diffID)
	if err != nil {
		return err
	}
	st, err := p.store.Restage(ctx, diffID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Discard()) }()
	l := fetch.Layer{Layer: manifest.Layer{Descriptor: desc, DiffID: diffID}, Number: number, Of: of}
	if err := p.layer(ctx, &st, l, p.store.Restage); err != nil {
		return err
	}
	return p.store.ReplaceLayer(ctx, st)
}

// blobOf is the blob that a layer came from: what its record says, or, where
// that is damaged too, what the reference's manifest says, if it is still the
// image's. The tag may have moved; a blob that its record names has not.
func (p *pull) blobOf(ctx context.Context, img overlaystore.Image, diffID digest.Digest) (ocispec.Descriptor, error) {
	record, err := p.store.Layer(diffID)
	if err == nil && len(record.Blobs) > 0 {
		b := record.Blobs[0]
		return ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size}, nil
	}
	resolution, err := p.source.Resolve(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if resolution.Manifest.Digest != img.Manifest {
		return ocispec.Descriptor{}, fmt.Errorf("%s is another image now: %w", resolution.Reference, registry.ErrNotFound)
	}
	fresh, err := p.source.Image(ctx, resolution)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, l := range fresh.Layers {
		if l.DiffID == diffID {
			return l.Descriptor, nil
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("%s has no such layer: %w", resolution.Reference, registry.ErrNotFound)
}
