// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/layer"
)

// tars reports whether layers are kept as tars, and images have an index in the
// place of a fix layer.
func (s *Store) tars() bool { return s.format.Lower == layer.Tars }

// Index is the file that shows an image of a store of tars, and the files that
// it points into, in the order in which the kernel wants them as devices: paths
// under the store.
type Index struct {
	Path    string
	Devices []string
}

// Index is that of an image. The error is ErrNotFound when it or a layer is not
// in the store, and ErrUnsupported in a store of directories.
func (s *Store) Index(img Image) (Index, error) {
	if !s.tars() || img.Fix == "" {
		return Index{}, fmt.Errorf("%w: image %s has no index", ErrUnsupported, img.Manifest)
	}
	dir, rel, err := s.openFix(img.Fix)
	if err != nil {
		return Index{}, err
	}
	defer dir.Close()
	devices, err := tarlayer.Files(s.root, img.Layers, s.boot)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return Index{path.Join(rel, tarlayer.NameFor(dir, img.Manifest)), devices}, err
}

// fillIndex makes the index of an image in a staging.
func (s *Store) fillIndex(ctx context.Context, g *Staging, img Image) error {
	if err := durable.Fault(ctx, "write index"); err != nil {
		return err
	}
	made, err := tarlayer.CreateIndex(ctx, g.dir, img.Layers, func(diffID digest.Digest) (*os.File, tarlayer.Layer, error) {
		dir, _, err := s.openLayer(diffID)
		if err != nil {
			return nil, tarlayer.Layer{}, err
		}
		rec, err := ReadRecord(dir)
		return dir, tarlayer.Layer{DiffID: diffID, Size: rec.Size, Facts: rec.Facts}, err
	})
	if err != nil {
		return fmt.Errorf("make the index: %w", err)
	}
	return g.Seal(ctx, LayerRecord{Size: made.Size, DiskSize: made.Size, Index: made.Digest})
}
