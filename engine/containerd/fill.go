// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/layerctl/layerctl/internal/fixlayer"
	"github.com/layerctl/layerctl/internal/linkedcopy"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// fill fills dir with the image's layer i as it must be on top of the layers below:
// the engine has no fix layers.
func (g *giving) fill(ctx context.Context, dir *os.File, i int, below []*os.File) error {
	from, err := g.lower(ctx, i)
	if errors.Is(err, overlaystore.ErrNotFound) {
		return &NeedsError{g.image.Layers[i], err}
	}
	if err != nil {
		return err
	}
	l := linkedcopy.Layer{From: from.fs, Below: below}
	if len(below) > 0 && impliesRoot(from.record.Facts) {
		l.Root = below[0]
	}
	if needsMending(from.record.Facts) {
		if l.Mended, err = g.mend(ctx, dir, i, below); err != nil {
			return fmt.Errorf("mend: %w", err)
		}
	}
	if from.record.RootOpaque {
		if err := g.copier.Cover(ctx, dir, l); err != nil {
			return err
		}
	}
	return g.copier.Fill(ctx, dir, l)
}

// needsMending reports whether what a fix layer would have of this layer depends on
// the layers below it.
func needsMending(f layer.Facts) bool {
	return impliesMore(f) || len(f.ForeignLinks) > 0 || len(f.WhiteoutParents) > 0
}

// impliesRoot reports whether the layer has no entry for its root.
func impliesRoot(f layer.Facts) bool {
	return slices.ContainsFunc(f.Implied, func(d layer.ImpliedDir) bool { return d.Path == "." })
}

// impliesMore reports whether the layer has implied directories beside its root. The
// root takes its attributes from the layer below.
func impliesMore(f layer.Facts) bool {
	return len(f.Implied) > 1 || len(f.Implied) == 1 && !impliesRoot(f)
}

// mend builds in dir the fix layer of an image that ends with layer i, and reports
// whether that needs one.
func (g *giving) mend(ctx context.Context, dir *os.File, i int, below []*os.File) (_ bool, err error) {
	layers := g.image.Layers[:i+1]
	stack, err := g.stack(ctx, i, below)
	if err != nil {
		return false, err
	}
	plan, err := fixlayer.New(stack, layers, g.from.Format().OrDefaults())
	var needs *fixlayer.NeedsError
	if errors.As(err, &needs) {
		return false, &NeedsError{needs.Layer, err}
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	if plan.Empty() {
		return false, nil
	}
	_, err = plan.Build(mendedDir{dir, g.from})
	return true, err
}

// mendedDir is a directory of the engine in which a fix layer is built, without a
// journal.
type mendedDir struct {
	dir   *os.File
	store *overlaystore.Store
}

func (m mendedDir) Dir() *os.File          { return m.dir }
func (mendedDir) Record(layer.Entry) error { return nil }
func (mendedDir) Room(uint64) error        { return nil }
