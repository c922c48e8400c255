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

// ErrNoTar says that neither a store nor a cache has the tar of a layer. The tar
// cannot be made from the layer's directory, which does not say how it was written.
var ErrNoTar = errkind.New(errkind.NotFound, "its tar is not at hand, and cannot be made from its files")

// Options say how a store is converted. The zero value works.
type Options struct {
	// Blob opens a blob of a layer. What it gives is verified as it is read. The error
	// is an errkind.Mismatch if this machine does not have the blob. Layers of a store
	// of tars need no blob. nil means that there are no blobs.
	Blob func(layer.Blob) (io.ReadCloser, error)
	// Unpack has the limits and the memory for unpacking a layer.
	Unpack unpack.Options
	// Progress is called before each layer is made, unless it is nil; number counts
	// from 1.
	Progress func(diffID digest.Digest, number, of int)
}

// Converted says what was converted.
type Converted struct {
	Images []overlaystore.Image // the images that the other store has now
	Layers int                  // how many layers were made
	Left   []Left               // the layers that could not be made
}

// Left is a layer that could not be made, with the reason as Err.
type Left struct {
	Layer digest.Digest
	Size  int64    // of its tar in bytes; 0 if that is not known
	Refs  []string // the names of the images that need it and are left out
	Err   error
}

// Convert copies each image of the store from that has a name into the store to, with
// all its names. It makes the layers in the form of the store to, from tars and blobs
// that this machine has, verifies each by its diffID, and makes each durable before it
// begins the next. It does not change the store from. A layer that cannot be made, and
// the images that need it, are left out and listed in Converted. Any other error ends
// the conversion; a second call continues it.
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

// distinct returns each layer of these images once.
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
	left     map[digest.Digest]bool // the layers that could not be made
}

// room fails if the filesystem cannot have space for the missing layers.
func (c *conversion) room(layers []digest.Digest) error {
	var bytes, inodes uint64
	for _, diffID := range layers {
		has, err := c.to.HasLayer(diffID)
		if err != nil {
			return err
		}
		rec, err := c.from.Layer(diffID)
		if has || err != nil {
			continue // layer reports the error
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

// layer makes one layer, or adds it to Converted.Left.
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

// open opens the tar of a layer if the store from has tars, else one of its blobs.
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

// image adds an image to the store to, with all its names, unless one of its layers
// is missing there.
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
