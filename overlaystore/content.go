// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/overlaystore/internal/layerdir"
)

// LayerDir is a layer's directory, opened for reading: Entries yields the layer's
// journal, Open opens a regular file by its entry, Tar opens the layer's tar in a
// store of tars, and Close closes the directory. A prune removes the layer unless
// a [Lease] or an image names it; an open directory stays readable.
type LayerDir = layerdir.Dir

// OpenLayer opens a layer's directory; the caller closes it. The error is
// ErrNotFound where there is no such layer.
func (s *Store) OpenLayer(diffID digest.Digest) (*LayerDir, error) {
	dir, _, err := s.openLayer(diffID)
	if err != nil {
		return nil, err
	}
	return layerdir.Open(diffID, dir, s.tars())
}
