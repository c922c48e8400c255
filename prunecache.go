// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/internal/cacheprune"
	"github.com/layerctl/layerctl/overlaystore"
)

// PrunedBlobs is what was removed from a cache, or would be.
type PrunedBlobs struct {
	Names []string // references that the cache no longer answers
	Blobs []ocispec.Descriptor
	Bytes int64
	// Partial is the bytes of blobs that interrupted pulls have begun.
	Partial int64
}

// PruneCache removes from a cache what no image of the store needs: names that
// are no reference in the store, then blobs to which neither a remaining name nor
// an image with a reference leads. Names that other programs gave stay. Only
// DryRun, OlderThan and Partial of o count. Nothing is removed while anything is
// being pulled through the cache.
func PruneCache(ctx context.Context, store *overlaystore.Store, c *cache.Cache, o overlaystore.PruneOptions) (PrunedBlobs, error) {
	gone, err := cacheprune.Prune(ctx, store, c, o)
	return PrunedBlobs(gone), err
}
