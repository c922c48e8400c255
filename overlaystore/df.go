// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"fmt"
	"maps"

	"github.com/layerctl/layerctl/overlaystore/internal/partial"
)

// ImageUsage is what one image takes in the store, in bytes of file contents.
type ImageUsage struct {
	Image
	Bytes  int64 // of all its layers, the fix layer among them
	Shared int64 // of those that other images have too
	Own    int64 // of those that only this one has: what its removal frees
}

// Usage is what a store holds, in bytes of file contents.
type Usage struct {
	Images []ImageUsage
	Layers int
	Bytes  int64
	// Left is what processes that died have left, beside the layers, and Partial
	// what interrupted pulls have of layers, for the next pull.
	Left, Partial int64
	// Reclaimable is what a prune of what nothing needs would free, Left among
	// it and Partial not, mounts and running pulls left aside.
	Reclaimable int64
}

// Usage adds up the layers of each image, and tells those that it shares with
// others from its own.
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
	users, needed := map[string]int{}, map[string]bool{}
	for _, img := range images {
		dirs := map[string]bool{}
		addDirs(dirs, img)
		for name := range dirs {
			users[name]++
		}
		if len(img.Refs) > 0 {
			maps.Copy(needed, dirs)
		}
	}
	u := Usage{Left: left, Partial: waiting, Reclaimable: left}
	bytes := map[string]int64{}
	for _, z := range sizes {
		name := z.ID.Encoded()
		u.Bytes += z.Bytes
		bytes[name] = z.Bytes
		if !z.Fix {
			u.Layers++
		}
		if !needed[name] {
			u.Reclaimable += z.Bytes
		}
	}
	for _, img := range images {
		u.Images = append(u.Images, imageUsage(img, bytes, users))
	}
	return u, nil
}

func imageUsage(img Image, bytes map[string]int64, users map[string]int) ImageUsage {
	u := ImageUsage{Image: img}
	dirs := map[string]bool{}
	addDirs(dirs, img)
	for name := range dirs {
		u.Bytes += bytes[name]
		if users[name] > 1 {
			u.Shared += bytes[name]
		} else {
			u.Own += bytes[name]
		}
	}
	return u
}
