// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/overlaystore"
)

// PruneCache prunes the cache in the store's blobs/, if there is one.
func PruneCache(c *cli.Context, store *overlaystore.Store, o overlaystore.PruneOptions) (_ layerctl.PrunedBlobs, err error) {
	dir := filepath.Join(store.Path(), "blobs")
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return layerctl.PrunedBlobs{}, nil
	}
	kept, err := cache.Open(c.Context, dir)
	if err != nil {
		return layerctl.PrunedBlobs{}, err
	}
	defer func() { err = Closing(err, kept) }()
	return layerctl.PruneCache(c.Context, store, kept, o)
}
