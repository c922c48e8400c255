// SPDX-License-Identifier: Apache-2.0

// Package layerdir reads what is in a layer's directory: its journal, and the
// files of its lower dir or its tar.
package layerdir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/layer"
)

// Dir is a layer's directory, opened to read what is in it. A prune takes the
// layer away unless a lease or an image names it; what is open stays readable all
// the same.
type Dir struct {
	diffID digest.Digest
	dir    *os.File
	fs     *os.File // nil where the store keeps tars
}

// Open is the directory dir of a layer, which it takes over, also where it fails.
// tar says that it holds a tar.
func Open(diffID digest.Digest, dir *os.File, tar bool) (*Dir, error) {
	if tar {
		return &Dir{diffID, dir, nil}, nil
	}
	fs, err := durable.OpenDirAt(dir, storedirs.LowerDir)
	if err != nil {
		return nil, fmt.Errorf("open layer %s: %w", diffID, errors.Join(err, dir.Close()))
	}
	return &Dir{diffID, dir, fs}, nil
}

// Entries yields the layer's journal as it was recorded, see [layer.Entry].
// After an error, journal.ErrDamaged or the context's, there is nothing more. All of
// it is to be believed only when the last entry has come without an error.
func (d *Dir) Entries(ctx context.Context) iter.Seq2[layer.Entry, error] {
	return func(yield func(layer.Entry, error) bool) {
		r, err := journal.Open(d.dir)
		if err != nil {
			yield(layer.Entry{}, fmt.Errorf("layer %s: %w", d.diffID, err))
			return
		}
		defer r.Close()
		for e, err := range r.All() {
			if err = cmp.Or(err, ctx.Err()); err != nil {
				yield(layer.Entry{}, fmt.Errorf("layer %s: %w", d.diffID, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Open opens a regular file of the layer for reading, by its entry, whose path
// is that in the layer, and whatever mode the layer gave it. No symbolic link is
// followed. The content is as the disk has it; the entry's size and sum tell
// whether it is what was committed. In a store of directories it is an
// [os.File].
func (d *Dir) Open(e layer.Entry) (io.ReadSeekCloser, error) {
	if d.fs != nil {
		return d.open(e.Path)
	}
	content, err := tarlayer.Open(d.dir, e)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", d.diffID, err)
	}
	return content, nil
}

func (d *Dir) open(path string) (*os.File, error) {
	found, err := fsat.FindOwned(d.fs, path)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", d.diffID, err)
	}
	defer found.Close()
	f, err := fsat.ReopenOwned(d.fs, found)
	switch {
	case errors.Is(err, fsat.ErrNotRegular):
		return nil, fmt.Errorf("layer %s: %w: %.200q is no regular file", d.diffID, journal.ErrDamaged, path)
	case err != nil:
		return nil, fmt.Errorf("layer %s: open %.200q: %w", d.diffID, path, errors.Unwrap(err))
	}
	return f, nil
}

// Tar opens the tar, of size bytes, that a store of tars has of the layer.
func (d *Dir) Tar(size int64) (io.ReadCloser, error) { return tarlayer.OpenTar(d.dir, size) }

// Close closes the directory.
func (d *Dir) Close() error {
	if d.fs == nil {
		return d.dir.Close()
	}
	return errors.Join(d.dir.Close(), d.fs.Close())
}
