// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/overlaystore/internal/layerdir"
)

// LayerDir is a layer's directory, opened to read what is in it: Entries yields
// its journal, Open opens a regular file by its entry, Tar the tar that a store of
// tars has of it, and Close ends that. A prune takes the layer away unless a
// [Lease] or an image names it; what is open stays readable all the same.
type LayerDir = layerdir.Dir

// OpenLayer opens a layer's directory, or ends with ErrNotFound. The caller
// closes it.
func (s *Store) OpenLayer(diffID digest.Digest) (*LayerDir, error) {
	dir, _, err := s.openLayer(diffID)
	if err != nil {
		return nil, err
	}
	return layerdir.Open(diffID, dir, s.tars())
}
