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
	"github.com/layerctl/layerctl/internal/flat"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// tar writes the root filesystem.
func (e *exporter) tar(ctx context.Context, to io.Writer) error {
	image, err := e.image(ctx)
	if err != nil {
		return err
	}
	if err := e.flat(ctx, image.Layers, to); err != nil {
		return fmt.Errorf("export %s: %w", e.done.Reference, err)
	}
	return nil
}

// flat writes it from the layers of the store and those that are fetched for
// this, into a temporary directory: what the lowest one has may be the last to
// be written.
func (e *exporter) flat(ctx context.Context, layers []manifest.Layer, to io.Writer) (err error) {
	choice, err := flat.NewChoice(nil, nil)
	if err != nil {
		return err
	}
	dir := os.TempDir()
	place, err := flat.Begin(ctx, dir, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.Discard()) }()
	f := &flattening{
		client: e.client, source: e.source, fetch: e.fetch,
		options: UnpackOptions{
			Jobs: e.options.Jobs, Limits: e.options.Limits, Windows: e.options.Windows,
			Store: e.options.Store, Owners: recordOwners,
		},
		dir: dir, choice: choice, place: place, stack: stackview.NewStack(stackview.Options{Memory: e.options.Memory}),
		layers: map[digest.Digest]*flatLayer{}, notes: map[string]int64{},
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if store := e.options.Store; store != nil {
		lease, err := store.Lease(ctx, "export "+e.done.Reference.String(), source.Image{Layers: layers}.DiffIDs()...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, lease.Release()) }()
	}
	if _, err := f.read(ctx, layers); err != nil {
		return f.explain(err)
	}
	view, err := f.merge(layers, 0)
	if err != nil {
		return err
	}
	if n := f.notes[unpack.NoteDevice]; n > 0 {
		e.warn("%d devices of the image were left out when it was pulled, and so here", n)
	}
	e.done.Warnings = append(e.done.Warnings, f.fetch.Warnings()...)
	return e.writeTree(ctx, view, tarLayers{f.layers, layers}, to)
}

// contents opens the regular files of a view.
type contents interface {
	Open(f stackview.File) (*os.File, error)
}

// tarLayers are layers that were read, fetch.Layer as a view of them does.
type tarLayers struct {
	read   map[digest.Digest]*flatLayer
	layers []manifest.Layer
}

// Open implements contents.
func (r tarLayers) Open(f stackview.File) (*os.File, error) {
	switch content := r.read[r.layers[f.Layer].DiffID].content.(type) {
	case flat.Stored:
		return content.Layer.Open(f)
	case flat.Staged:
		return content.Open(f)
	default:
		panic("layerctl: a layer is neither stored nor staged")
	}
}

// writeTree writes what a view shows.
func (e *exporter) writeTree(ctx context.Context, view *stackview.View, from contents, to io.Writer) error {
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

func writePath(w *archive.TreeWriter, f stackview.File, from contents) (err error) {
	switch {
	case f.Link != "":
		return w.Write(layer.Entry{Path: f.Path, Type: layer.Hardlink, Linkname: f.Link, Mode: f.Mode, UID: f.UID, GID: f.GID, ModTime: f.ModTime}, nil)
	case f.Type != layer.Regular:
		return w.Write(f.Entry, nil)
	}
	content, err := from.Open(f)
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
