// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
)

// tars reports whether the store keeps layers as tars. Then images have an index in
// the place of a fix layer.
func (s *Store) tars() bool { return s.format.Lower == layer.Tars }

// Index is what a mount of an image in a store of tars needs, as paths under the
// store: the EROFS filesystem, which has metadata only, and the layers' files, which
// have the data, in the order in which the kernel wants them as devices.
type Index struct {
	Path    string
	Devices []string
}

// Index returns the index of an image. The error is ErrNotFound where it or a layer
// is not in the store, and ErrUnsupported in a store of directories.
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

// StageIndex makes the index of an image, to be committed together with the image's
// layers that are still staged: the disk writes those while the index is made, and
// one sync is for all. It returns nil where there is nothing to do now: the store
// keeps directories, the index exists, another process makes it or fetches one of the
// layers, or descriptors or memory were short. [Store.PutImage] makes it then.
func (s *Store) StageIndex(ctx context.Context, layers []digest.Digest, staged []*Staging) (*Staging, error) {
	if !s.tars() || len(layers) == 0 {
		return nil, nil
	}
	g, err := s.stage(ctx, manifest.ChainID(layers), fixPrefix, tryLock, s.hasFix)
	if err == nil {
		err = s.fillIndex(ctx, g, layers, staged)
	}
	if err == nil {
		return g, nil
	}
	if g != nil {
		err = errors.Join(err, g.Discard())
	}
	later := errors.Is(err, ErrExists) || errors.Is(err, ErrBusy) || errors.Is(err, ErrNotFound)
	if later || fsat.IsShortage(err) && ctx.Err() == nil {
		return nil, nil
	}
	return nil, fmt.Errorf("stage the index: %w", s.Explain(err))
}

// fillIndex makes the index of an image in the staging g. Each layer of the image is
// in the store, or sealed and among staged.
func (s *Store) fillIndex(ctx context.Context, g *Staging, layers []digest.Digest, staged []*Staging) error {
	if err := durable.Fault(ctx, "write index"); err != nil {
		return err
	}
	made, err := tarlayer.CreateIndex(ctx, g.dir, layers, func(diffID digest.Digest) (dir *os.File, _ tarlayer.Layer, err error) {
		if i := slices.IndexFunc(staged, func(l *Staging) bool { return l.diffID == diffID }); i >= 0 {
			dir, err = durable.OpenDirAt(staged[i].dir, ".")
		} else {
			dir, _, err = s.openLayer(diffID)
		}
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
