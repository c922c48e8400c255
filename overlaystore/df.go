// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"fmt"

	"github.com/layerctl/layerctl/overlaystore/internal/partial"
	"github.com/layerctl/layerctl/overlaystore/internal/sweep"
)

// ImageUsage is what one image takes in the store, in bytes of file contents.
type ImageUsage struct {
	Image
	Bytes  int64 // of all its layers, the fix layer among them
	Shared int64 // of the layers that other images have too
	Own    int64 // of the layers that only this image has, which its removal frees
}

// Usage is what a store holds, in bytes of file contents.
type Usage struct {
	Images []ImageUsage
	Layers int
	Bytes  int64
	// Left is what processes that died have left beside the layers, and Partial
	// what interrupted pulls keep of layers for the next pull.
	Left, Partial int64
	// Reclaimable is what a prune of everything unneeded would free, with Left and
	// without Partial, if nothing is mounted and no pull is running.
	Reclaimable int64
}

// Usage adds up the layers of each image: all of them, and those that it shares
// with other images.
func (s *Store) Usage(ctx context.Context) (Usage, error) {
	images, err := s.Images()
	if err != nil {
		return Usage{}, fmt.Errorf("add up the store: %w", err)
	}
	left, err := s.leftovers().Bytes(ctx)
	if err != nil {
		return Usage{}, fmt.Errorf("add up the store: %w", err)
	}
	var waiting int64
	err = s.partials().Each(ctx, func(f partial.Found) bool { waiting += f.Bytes; return false })
	if err != nil {
		return Usage{}, fmt.Errorf("add up the store: %w", err)
	}
	sizes, err := s.sizes()
	if err != nil {
		return Usage{}, fmt.Errorf("add up the store: %w", err)
	}
	sum := sweep.Add(sizes, sweepImages(images))
	u := Usage{Layers: sum.Layers, Bytes: sum.Bytes, Left: left, Partial: waiting, Reclaimable: left + sum.Unneeded}
	for i, img := range images {
		u.Images = append(u.Images, ImageUsage{img, sum.Images[i].Bytes, sum.Images[i].Shared, sum.Images[i].Bytes - sum.Images[i].Shared})
	}
	return u, nil
}
