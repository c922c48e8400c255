// SPDX-License-Identifier: Apache-2.0

package recast

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// ErrNoTar says of a layer of a store of directories that nobody has its tar: a
// directory does not say how its tar was written.
var ErrNoTar = errkind.New(errkind.NotFound, "its tar is not at hand, and cannot be made from its files")

// Options say how a store is converted. The zero value works.
type Options struct {
	// Blob opens a compressed form of a layer, which is verified as it is read; an
	// errkind.Mismatch says that it is not at hand. Layers of a store of tars need
	// none; nil has none.
	Blob func(layer.Blob) (io.ReadCloser, error)
	// Unpack has the limits of a layer, and its memory.
	Unpack unpack.Options
	// Progress hears of each layer before it is made; nil does not.
	Progress func(diffID digest.Digest, number, of int)
}

// Converted is what came of it.
type Converted struct {
	Images []overlaystore.Image // that the other store has now
	Layers int                  // that it did not have before
	Left   []Left               // what could not be converted
}

// Left is a layer that has no other form, and Err says why.
type Left struct {
	Layer digest.Digest
	Size  int64    // of its tar in bytes; 0 is not known
	Refs  []string // of the images that need it, which the other store has not
	Err   error
}

// Convert puts each image of the store from that has a name into the store to,
// with all its names: layers in the form of that one, made from what is at hand,
// each proven by its diffID, and each durable before the next. In from nothing
// changes. A layer that cannot be made, and the images that need it, are left
// out and told of; an error ends the rest. A second call goes on.
func Convert(ctx context.Context, from, to *overlaystore.Store, o Options) (done Converted, err error) {
	images, err := from.Images()
	if err != nil {
		return done, err
	}
	images = slices.DeleteFunc(images, func(i overlaystore.Image) bool { return len(i.Names) == 0 })
	c := &conversion{Options: o, from: from, to: to, done: &done, left: map[digest.Digest]bool{}}
	layers := distinct(images)
	for _, s := range []*overlaystore.Store{from, to} {
		lease, refused := s.Lease(ctx, "convert "+from.Path(), layers...)
		if refused != nil {
			return done, refused
		}
		defer func() { err = errors.Join(err, lease.Release()) }()
	}
	if err := c.room(layers); err != nil {
		return done, err
	}
	for i, diffID := range layers {
		if o.Progress != nil {
			o.Progress(diffID, i+1, len(layers))
		}
		if err := c.layer(ctx, diffID, images); err != nil {
			return done, fmt.Errorf("convert layer %s: %w", diffID, err)
		}
	}
	for _, img := range images {
		if err := c.image(ctx, img); err != nil {
			return done, err
		}
	}
	return done, nil
}

// distinct is each layer of these images once.
func distinct(images []overlaystore.Image) (layers []digest.Digest) {
	seen := map[digest.Digest]bool{}
	for _, img := range images {
		for _, diffID := range img.Layers {
			if !seen[diffID] {
				seen[diffID] = true
				layers = append(layers, diffID)
			}
		}
	}
	return layers
}

// conversion is one call of [Convert].
type conversion struct {
	Options
	from, to *overlaystore.Store
	done     *Converted
	left     map[digest.Digest]bool
}

// room refuses at once what cannot fit.
func (c *conversion) room(layers []digest.Digest) error {
	var bytes, inodes uint64
	for _, diffID := range layers {
		has, err := c.to.HasLayer(diffID)
		if err != nil {
			return err
		}
		rec, err := c.from.Layer(diffID)
		if has || err != nil {
			continue // what is wrong with a layer is told when its turn comes
		}
		if c.to.Format().Lower == layer.Tars {
			bytes += uint64(rec.Size)
		} else {
			n := rec.Counts
			inodes += uint64(n.Regular + n.Directories + n.Symlinks + n.Devices + n.Whiteouts)
		}
	}
	return c.to.Room(bytes, inodes)
}

// layer makes one layer, or tells that it is left.
func (c *conversion) layer(ctx context.Context, diffID digest.Digest, images []overlaystore.Image) error {
	rec, err := c.from.Layer(diffID)
	if err == nil {
		err = c.make(ctx, diffID, rec)
	}
	if ctx.Err() != nil || err != nil && !errors.Is(err, errkind.NotFound) && !errors.Is(err, errkind.Mismatch) && !errors.Is(err, errkind.Malformed) {
		return c.to.Explain(errors.Join(err, context.Cause(ctx)))
	}
	if err == nil {
		return nil
	}
	c.left[diffID] = true
	left := Left{Layer: diffID, Size: rec.Size, Err: err}
	for _, img := range images {
		if slices.Contains(img.Layers, diffID) {
			left.Refs = append(left.Refs, img.Refs...)
		}
	}
	c.done.Left = append(c.done.Left, left)
	return nil
}

func (c *conversion) make(ctx context.Context, diffID digest.Digest, rec overlaystore.LayerRecord) (err error) {
	st, err := c.to.Stage(ctx, diffID)
	if errors.Is(err, overlaystore.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Discard()) }()
	blob, mediaType, err := c.open(diffID, rec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	o := c.Unpack
	o.Form, o.WriteBehind = c.to.Format().Form, c.to.Syncs()
	made, err := fill(ctx, st, blob, unpack.Source{MediaType: mediaType, DiffID: diffID}, o)
	if err != nil {
		return err
	}
	made.Blobs = rec.Blobs
	if err := st.Seal(ctx, made); err != nil {
		return err
	}
	if err := c.to.Commit(ctx, st); err != nil {
		return err
	}
	c.done.Layers++
	return nil
}

// open opens what a layer is made of: its tar in a store of tars, else a blob.
func (c *conversion) open(diffID digest.Digest, rec overlaystore.LayerRecord) (_ io.ReadCloser, mediaType string, err error) {
	if c.from.Format().Lower == layer.Tars {
		dir, err := c.from.OpenLayer(diffID)
		if err != nil {
			return nil, "", err
		}
		tar, err := dir.Tar(rec.Size)
		return tar, ocispec.MediaTypeImageLayer, errors.Join(err, dir.Close())
	}
	for _, b := range rec.Blobs {
		if c.Blob == nil {
			break
		}
		blob, err := c.Blob(b)
		if err == nil || !errors.Is(err, errkind.Mismatch) {
			return blob, b.MediaType, err
		}
	}
	return nil, "", ErrNoTar
}

// image makes an image known in the other store, by all its names.
func (c *conversion) image(ctx context.Context, img overlaystore.Image) error {
	if slices.ContainsFunc(img.Layers, func(d digest.Digest) bool { return c.left[d] }) {
		return nil
	}
	img.Fix = ""
	put, err := c.to.PutImage(ctx, img)
	if err != nil {
		return err
	}
	put.Names, put.Refs = img.Names, img.Refs
	for _, n := range img.Names {
		o := overlaystore.TagOptions{}
		if n.Platform.OS != "" || n.Platform.Architecture != "" {
			o.Platform = &n.Platform
		}
		if err := c.to.Tag(ctx, n.Ref, img.Manifest, o); err != nil {
			return err
		}
	}
	c.done.Images = append(c.done.Images, put)
	return nil
}
