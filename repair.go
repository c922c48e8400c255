// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/unpack"
)

// Repaired is what a repair has put in place.
type Repaired struct {
	Layers    []digest.Digest // fetched again
	Fixes     []digest.Digest // made again
	Protected int             // given fs-verity again, see [overlaystore.Store.Protect]
}

// Repair enables fs-verity again for what lost only that, and fetches nothing where the kernel
// has none ([overlaystore.Store.Protect]). It fetches the damaged layers again, by a reference
// of an image that has them, and builds damaged fix layers anew. Each is replaced atomically; a
// mount goes on showing the old directory. It mends what it can; its error names the rest.
func (c *Client) Repair(ctx context.Context, store *overlaystore.Store, report overlaystore.Report) (Repaired, error) {
	var done Repaired
	images, err := store.Images()
	if err != nil {
		return done, err
	}
	done.Protected, err = store.Protect(ctx, &report)
	errs := []error{err}
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
			continue // no image needs the fix layer; a prune removes it
		}
		err := store.RepairFix(ctx, images[i])
		if errs = append(errs, err); err == nil {
			done.Fixes = append(done.Fixes, chainID)
		}
	}
	return done, errors.Join(errs...)
}

func (c *Client) repairLayer(ctx context.Context, store *overlaystore.Store, images []overlaystore.Image, diffID digest.Digest, number, of int) error {
	var errs []error
	for _, img := range images {
		if !slices.Contains(img.Layers, diffID) {
			continue
		}
		for _, name := range img.Names {
			err := c.refetch(ctx, store, img, name, diffID, number, of)
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

// refetch fetches one layer of a stored image again, by one of the image's names.
func (c *Client) refetch(ctx context.Context, store *overlaystore.Store, img overlaystore.Image, name overlaystore.Name, diffID digest.Digest, number, of int) error {
	return c.For(platform.Format(name.Platform)).with(ctx, name.Ref, func(s *source.Source) error {
		s.Admit() // it is the layer of an image that was let in
		paths := unpack.NewPaths(c.options.Memory, c.options.Windows)
		defer paths.Release()
		return c.pull(store, s, paths).Refetch(ctx, img, diffID, number, of)
	})
}
