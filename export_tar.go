// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/internal/merged"
	"github.com/layerctl/layerctl/internal/tree"
	"github.com/layerctl/layerctl/overlaystore"
)

// tar writes the root filesystem.
func (e *exporter) tar(ctx context.Context, to io.Writer) error {
	image, err := e.image(ctx)
	if err != nil {
		return err
	}
	if err := e.stored(ctx, image.diffIDs(), to); err != nil {
		return fmt.Errorf("export %s: %w", e.source.Reference(), err)
	}
	return nil
}

// stored writes it from the store's layers.
func (e *exporter) stored(ctx context.Context, diffIDs []digest.Digest, to io.Writer) (err error) {
	store := e.options.Store
	lease, err := store.Lease(ctx, "export "+e.done.Reference.String(), diffIDs...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	layers, err := openLayers(store, diffIDs)
	defer func() { err = errors.Join(err, layers.close()) }()
	if err != nil {
		return err
	}
	view, err := storedView(ctx, store, diffIDs, merged.Options{})
	if err != nil {
		return err
	}
	return e.writeTree(ctx, view, layers, to)
}

// contents opens the files of layers, which are numbered as a view does.
type contents interface {
	open(layer int, path string) (*os.File, error)
}

// writeTree writes what a view shows.
func (e *exporter) writeTree(ctx context.Context, view *merged.View, from contents, to io.Writer) error {
	w := archive.NewTreeWriter(to, archive.TreeOptions{Owner: e.options.Owner, Latest: e.options.SourceDate})
	for f := range view.All() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writePath(w, f, from); err != nil {
			return err
		}
	}
	return w.Close()
}

func writePath(w *archive.TreeWriter, f merged.File, from contents) (err error) {
	switch {
	case f.Link != "":
		return w.Write(tree.Entry{Path: f.Path, Type: tree.Hardlink, Linkname: f.Link, Mode: f.Mode, UID: f.UID, GID: f.GID, ModTime: f.ModTime}, nil)
	case f.Type != tree.Regular:
		return w.Write(f.Entry, nil)
	}
	content, err := from.open(f.Layer, f.From)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	err = w.Write(f.Entry, content)
	if errors.Is(err, archive.ErrMismatch) {
		err = fmt.Errorf("%w: %w", overlaystore.ErrDamaged, err)
	}
	return err
}

// openedLayers are the directories of an image's layers, the lowest first.
type openedLayers []*overlaystore.LayerDir

func openLayers(store *overlaystore.Store, diffIDs []digest.Digest) (openedLayers, error) {
	var opened openedLayers
	for _, diffID := range diffIDs {
		dir, err := store.OpenLayer(diffID)
		if err != nil {
			return opened, err
		}
		opened = append(opened, dir)
	}
	return opened, nil
}

func (o openedLayers) open(layer int, path string) (*os.File, error) { return o[layer].Open(path) }

func (o openedLayers) close() error {
	var errs []error
	for _, dir := range o {
		errs = append(errs, dir.Close())
	}
	return errors.Join(errs...)
}
