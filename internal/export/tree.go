// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/internal/flatten"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
)

// tar writes the root filesystem.
func (e *exporter) tar(ctx context.Context, to io.Writer) error {
	image, err := e.image(ctx)
	if err != nil {
		return err
	}
	if err := e.tree(ctx, image.Layers, to); err != nil {
		return fmt.Errorf("export %s: %w", e.done.Resolution.Reference, err)
	}
	return nil
}

// tree writes the root filesystem of layers. Those that the store does not have are
// unpacked in a temporary directory first, because the last file to be written may
// be one of the lowest layer.
func (e *exporter) tree(ctx context.Context, layers []manifest.Layer, to io.Writer) (err error) {
	place, err := flatten.Begin(ctx, os.TempDir(), true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.Discard()) }()
	image, err := flatten.Read(ctx, place, "export "+e.done.Resolution.Reference.String(), layers, flatten.Options{
		Fetch: e.fetch, Logger: e.options.Logger, Strict: e.options.Strict,
		Jobs: e.options.Jobs, Limits: e.options.Limits, Windows: e.options.Windows, Memory: e.options.Memory,
		Store: e.options.Store, RecordOnly: true,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	if n := image.Notes()[layer.NoteDevice]; n > 0 {
		e.warn("%d devices of the image were left out when it was pulled, and so here", n)
	}
	e.done.Warnings = append(e.done.Warnings, e.fetch.Warnings()...)
	return e.writeTree(ctx, image.View(), image, to)
}

// Contents opens the regular files of a view.
type Contents interface {
	Open(f stackview.File) (io.ReadSeekCloser, error)
}

// writeTree writes what a view shows.
func (e *exporter) writeTree(ctx context.Context, view *stackview.View, from Contents, to io.Writer) error {
	w := archive.NewTreeWriter(to, archive.TreeOptions{Owner: e.options.Owner, Latest: e.options.SourceDate})
	for f := range view.All() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writePath(w, f, from); err != nil {
			return err
		}
	}
	if n := w.Cleared(); n > 0 {
		e.warn("%d files lost set-id bits or capabilities, which the image gives another owner", n)
	}
	return w.Close()
}

func writePath(w *archive.TreeWriter, f stackview.File, from Contents) (err error) {
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
