// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"archive/tar"
	"context"
	"io"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/internal/stored"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// merged lists what the layers show by their journals, in the lines of
// [model.listing], with the contents read from where the view says they are.
func (b *bench) merged(diffIDs []digest.Digest) ([]string, error) {
	view, err := storedView(b.Context(), b.store, diffIDs, stackview.Options{})
	if err != nil {
		return nil, err
	}
	return listView(view, func(f stackview.File) (string, error) {
		return readStored(b.store, diffIDs[f.Layer], f)
	})
}

func listView(view *stackview.View, content func(stackview.File) (string, error)) ([]string, error) {
	var lines []string
	groups := map[string][]string{}
	for f := range view.All() {
		n := &inode{
			typeflag: typeflags[f.Type], mode: int64(f.Mode), uid: int(f.UID), gid: int(f.GID),
			modTime: f.ModTime, xattrs: f.Xattrs, content: f.Linkname,
		}
		if f.Type == layer.Regular {
			var err error
			if n.content, err = content(f); err != nil {
				return nil, err
			}
		}
		lines = append(lines, describeLine(f.Path, n))
		switch {
		case f.Link != "":
			groups[f.Link] = append(groups[f.Link], f.Path)
		case f.Names > 1:
			groups[f.Path] = append(groups[f.Path], f.Path)
		}
	}
	return append(lines, groupLines(slices.Collect(maps.Values(groups)))...), nil
}

var typeflags = map[layer.Type]byte{layer.Regular: tar.TypeReg, layer.Directory: tar.TypeDir, layer.Symlink: tar.TypeSymlink}

func readStored(store *overlaystore.Store, diffID digest.Digest, file stackview.File) (string, error) {
	dir, err := store.OpenLayer(diffID)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	e := file.Entry
	e.Path = file.From
	f, err := dir.Open(e)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}

// storedView merges an image whose layers the store has, the lowest first.
func storedView(ctx context.Context, store *overlaystore.Store, diffIDs []digest.Digest, o stackview.Options) (*stackview.View, error) {
	stack := stackview.NewStack(o)
	byID := map[digest.Digest]*stackview.Layer{}
	var layers []*stackview.Layer
	for _, diffID := range diffIDs {
		if byID[diffID] == nil {
			layer, err := stored.Layer(ctx, stack, store, diffID)
			if err != nil {
				return nil, err
			}
			byID[diffID] = layer
		}
		layers = append(layers, byID[diffID])
	}
	return stack.Merge(layers...)
}
