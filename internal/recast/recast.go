// SPDX-License-Identifier: Apache-2.0

// Package recast makes layers of one form from layers of the other, without a
// network: [Directories] unpacks the layers of one image of a store of tars, for
// engines, and [Convert] copies a whole store into another store.
package recast

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/stagingdir"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// Beside is a temporary store of directories in the staging directory of a store of
// tars. An engine that keeps its files links them. Close removes it; if the process is
// killed, it is cleared away as any other staging is.
type Beside struct {
	*overlaystore.Store
	// Image is the record of the image in the temporary store.
	Image overlaystore.Image

	staging, dir *os.File
	name         string
}

// Directories unpacks the layers of img into a temporary store, and verifies each by
// its diffID. It returns nil if s is a store of directories. The caller holds a lease
// on the layers.
func Directories(ctx context.Context, s *overlaystore.Store, img overlaystore.Image, log *slog.Logger) (*Beside, error) {
	if s.Format().Lower != layer.Tars {
		return nil, nil
	}
	b := &Beside{}
	err := b.open(ctx, s, log)
	if err == nil {
		err = b.fill(ctx, s, img)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make directories of layers that are tars: %w", err), b.Close())
	}
	return b, nil
}

func (b *Beside) open(ctx context.Context, s *overlaystore.Store, log *slog.Logger) (err error) {
	if b.staging, err = durable.OpenDirAt(s.Dir(), storedirs.Staging); err != nil {
		return err
	}
	locks, err := durable.OpenDirAt(s.Dir(), storedirs.Locks)
	if err != nil {
		return err
	}
	defer locks.Close()
	if b.name, b.dir, err = stagingdir.Make(ctx, b.staging, locks, "recast-"); err != nil {
		return err
	}
	at := filepath.Join(s.Path(), storedirs.Staging, b.name, "store")
	b.Store, err = overlaystore.Open(ctx, at, overlaystore.Options{Lower: layer.Directories, Logger: log})
	return err
}

func (b *Beside) fill(ctx context.Context, s *overlaystore.Store, img overlaystore.Image) (err error) {
	done := map[digest.Digest]bool{}
	for i, diffID := range img.Layers {
		if done[diffID] {
			continue
		}
		done[diffID] = true
		if err := unpackLayer(ctx, s, b.Store, diffID); err != nil {
			return fmt.Errorf("layer %d/%d: %w", i+1, len(img.Layers), err)
		}
	}
	img.Fix = ""
	b.Image, err = b.PutImage(ctx, img)
	b.Image.Names, b.Image.Refs = img.Names, img.Refs
	return err
}

// unpackLayer unpacks one layer of a store of tars into a store of directories.
func unpackLayer(ctx context.Context, from, to *overlaystore.Store, diffID digest.Digest) (err error) {
	rec, err := from.Layer(diffID)
	if err != nil {
		return err
	}
	dir, err := from.OpenLayer(diffID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	tar, err := dir.Tar(rec.Size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tar.Close()) }()
	st, err := to.Stage(ctx, diffID)
	if errors.Is(err, overlaystore.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Discard()) }()
	source := unpack.Source{MediaType: ocispec.MediaTypeImageLayer, DiffID: diffID}
	made, err := fill(ctx, st, tar, source, unpack.Options{Form: to.Format().Form})
	if err != nil {
		return err
	}
	made.Blobs, made.Notes = rec.Blobs, rec.Notes
	if err := st.Seal(ctx, made); err != nil {
		return err
	}
	return to.Commit(ctx, st)
}

// Close removes the temporary store. Files that an engine has linked stay with the
// engine. On nil it does nothing.
func (b *Beside) Close() error {
	if b == nil {
		return nil
	}
	var errs []error
	if b.Store != nil {
		errs = append(errs, b.Store.Close())
	}
	if b.name != "" {
		errs = append(errs, fsat.RemoveAll(b.staging, b.name))
	}
	for _, f := range []*os.File{b.dir, b.staging} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
