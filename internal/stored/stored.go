// SPDX-License-Identifier: Apache-2.0

// Package stored reads the layers of a store for those who view a stack of
// layers: their journals, and their files with the checks that a file which
// lay on a disk needs.
package stored

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/filesum"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// Layer feeds the stack with the journal of a layer.
func Layer(ctx context.Context, stack *stackview.Stack, store *overlaystore.Store, diffID digest.Digest) (_ *stackview.Layer, err error) {
	record, err := store.Layer(diffID)
	if err != nil {
		return nil, err
	}
	dir, err := store.OpenLayer(diffID)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	read := stack.Layer()
	for e, err := range dir.Entries(ctx) {
		if err == nil {
			err = read.Record(e)
		}
		if err != nil {
			return nil, fmt.Errorf("read the journal of layer %s: %w", diffID, err)
		}
	}
	return read, read.End(record.Facts)
}

// Has is true for a layer that the store has; a nil store has none.
func Has(store *overlaystore.Store, diffID digest.Digest) bool {
	if store == nil {
		return false
	}
	dir, err := store.OpenLayer(diffID)
	return err == nil && dir.Close() == nil
}

// Files opens the files of one layer.
type Files struct{ *overlaystore.LayerDir }

// Open opens a regular file, which is as long as its entry says.
func (s Files) Open(f stackview.File) (io.ReadSeekCloser, error) {
	file, err := s.LayerDir.Open(inLayer(f))
	if err != nil {
		return nil, err
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil && size != f.Size {
		err = fmt.Errorf("%w: %.200q has %d bytes, and %d are recorded", overlaystore.ErrDamaged, f.From, size, f.Size)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// inLayer is the entry of a file as its layer has it.
func inLayer(f stackview.File) layer.Entry {
	e := f.Entry
	e.Path = f.From
	return e
}

// OpenVerified opens a regular file once its content has the sum that was
// recorded when the layer was verified.
func OpenVerified(store *overlaystore.Store, diffID digest.Digest, f stackview.File) (io.ReadSeekCloser, error) {
	dir, err := store.OpenLayer(diffID)
	if err != nil {
		return nil, err
	}
	content, err := dir.Open(inLayer(f))
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	sum := filesum.New()
	// A byte more shows that it has grown, by however much.
	n, err := io.Copy(sum, io.LimitReader(content, f.Size+1))
	if err == nil && (n != f.Size || sum.Sum32() != f.Sum) {
		err = fmt.Errorf("layer %s: %w: %.200q has another content than it was committed with", diffID, overlaystore.ErrDamaged, f.From)
	}
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	return content, nil
}
