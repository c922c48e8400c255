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
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/internal/storedirs"
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
	ix := Index{Path: path.Join(rel, storedirs.Index)}
	if err := dir.Close(); err != nil {
		return Index{}, err
	}
	unique, _ := tarlayer.Distinct(img.Layers)
	for _, diffID := range unique {
		dir, rel, err := s.openLayer(diffID)
		if err != nil {
			return Index{}, err
		}
		ix.Devices = append(ix.Devices, path.Join(rel, tarlayer.Name))
		if err := dir.Close(); err != nil {
			return Index{}, err
		}
	}
	return ix, nil
}

// fillIndex makes the index of an image in a staging.
func (s *Store) fillIndex(ctx context.Context, g *Staging, img Image) (err error) {
	if err := durable.Fault(ctx, "write index"); err != nil {
		return err
	}
	unique, stack := tarlayer.Distinct(img.Layers)
	var layers []tarlayer.Layer
	defer func() {
		for _, l := range layers {
			err = errors.Join(err, l.Dir.Close())
		}
	}()
	for _, diffID := range unique {
		dir, _, err := s.openLayer(diffID)
		if err != nil {
			return err
		}
		layers = append(layers, tarlayer.Layer{Dir: dir})
		rec, err := readRecord(dir)
		if err != nil {
			return fmt.Errorf("layer %s: %w", diffID, err)
		}
		layers[len(layers)-1].Facts = rec.Facts
	}
	made, err := tarlayer.CreateIndex(ctx, g.dir, layers, stack)
	if err != nil {
		return fmt.Errorf("make the index: %w", err)
	}
	return g.Seal(ctx, LayerRecord{Size: made.Size, DiskSize: made.Size, Index: made.Digest})
}

// checkTar compares the tar of a layer with its diffID, and an index with what
// its record says.
func (s *Store) checkTar(ctx context.Context, t verifyTarget, c *layercheck.Check, dir *os.File, rec LayerRecord, quick bool) error {
	paths, err := c.Journal(ctx, dir)
	if err != nil || quick {
		return err
	}
	want, got := t.id, digest.Digest("")
	if t.fix {
		want = rec.Index
		got, err = tarlayer.IndexDigest(ctx, dir)
	} else {
		got, err = tarlayer.Digest(ctx, dir, rec.Size)
	}
	if err != nil {
		return err
	}
	c.Compared(paths, rec.Size)
	if got != want {
		c.Differ("", "content", got.String(), want.String())
	}
	return nil
}
