// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"errors"
	"os"
	"path"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fixlayer"
	"github.com/layerctl/layerctl/overlaystore"
)

// lower is an open layer of the image: its directory, and the lower directory in that.
type lower struct {
	dir, fs *os.File
	record  overlaystore.LayerRecord
}

func (l *lower) close() error { return errors.Join(l.dir.Close(), l.fs.Close()) }

// lowers are the open layers, each once, for mending a layer needs all below it.
type lowers map[digest.Digest]*lower

func (open lowers) close() error {
	var errs []error
	for _, l := range open {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// lower opens the layer i of the image; g.open closes it.
func (g *giving) lower(ctx context.Context, i int) (*lower, error) {
	diffID := g.image.Layers[i]
	if l := g.open[diffID]; l != nil {
		return l, nil
	}
	l := &lower{}
	at, err := g.lowerPath(ctx, i)
	if err == nil {
		l.record, err = g.from.Layer(diffID)
	}
	if err != nil {
		return nil, err
	}
	if l.dir, err = durable.OpenDirAt(g.from.Dir(), path.Dir(at)); err != nil {
		return nil, err
	}
	if l.fs, err = durable.OpenDirAt(g.from.Dir(), at); err != nil {
		return nil, errors.Join(err, l.dir.Close())
	}
	g.open[diffID] = l
	return l, nil
}

// lowerPath returns the path under the store of the lower directory of layer i.
func (g *giving) lowerPath(ctx context.Context, i int) (string, error) {
	dirs, err := g.from.LowerDirs(ctx, overlaystore.Image{Layers: g.image.Layers[i : i+1]})
	if err != nil {
		return "", err
	}
	return dirs[0].Path, nil
}

// stack returns the stack of the layers up to i, the topmost first. Where the store
// lacks a layer below i it uses the engine's directory, of which below has those of
// all layers below i; such a directory needs no mending.
func (g *giving) stack(ctx context.Context, i int, below []*os.File) (stack []fixlayer.Layer, err error) {
	seen := map[digest.Digest]bool{}
	for at := i; at >= 0; at-- {
		diffID := g.image.Layers[at]
		if seen[diffID] {
			continue
		}
		seen[diffID] = true
		l, err := g.lower(ctx, at)
		if errors.Is(err, overlaystore.ErrNotFound) && at < i && len(below) == i {
			stack = append(stack, fixlayer.Layer{DiffID: diffID, FS: below[i-1-at], Borrowed: true, Mended: true})
			continue
		}
		if err != nil {
			return nil, err
		}
		stack = append(stack, fixlayer.Layer{DiffID: diffID, Dir: l.dir, FS: l.fs, Facts: l.record.Facts, Borrowed: true, Mended: at < i})
		if l.record.RootOpaque {
			break
		}
	}
	return stack, nil
}
