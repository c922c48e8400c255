// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/internal/stored"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/rootfs"
)

// RootFSOptions say how [Client.RootFS] and [Client.OpenFile] read an image;
// the zero value works.
type RootFSOptions struct {
	// Store is a store whose layers are not fetched but read from their journals,
	// which lack device nodes that unpacking did not make; nil is none.
	Store *overlaystore.Store
	// Journals keep what was read of layers, so that a layer that several images
	// share is fetched once; see [rootfs.Journals].
	Journals *rootfs.Journals
}

// RootFS reads the root filesystem of the image that ref means for the client's
// platform. The caller closes it. Errors are those of [Client.Pull] and of
// [rootfs.Read].
func (c *Client) RootFS(ctx context.Context, ref string, o RootFSOptions) (*RootFS, error) {
	s, layers, image, err := c.rootfsLayers(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	fsys, err := rootfs.Read(ctx, layers, c.rootfsOptions(o))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look into %s: %w", s.Reference(), err), s.Close())
	}
	s.Keep(ctx)
	return &RootFS{fsys, s, image}, nil
}

// RootFS is the root filesystem of an image.
type RootFS struct {
	*rootfs.FS
	source *source.Source
	image  source.Image // zero until the manifest has been read
}

// Image returns the image's manifest and config. Where the store has all layers
// neither was needed before: then Image reads them, from the cache or from the
// registry, layout or archive.
func (r *RootFS) Image(ctx context.Context) (_ *manifest.Image, _ *manifest.Config, err error) {
	if r.image.Manifest == nil {
		var chosen source.Resolution
		if chosen, err = r.source.Resolve(ctx); err == nil {
			r.image, err = r.source.AnyImage(ctx, chosen)
		}
	}
	return r.image.Manifest, r.image.Config, err
}

// Close closes the source from which contents are fetched.
func (r *RootFS) Close() error { return r.source.Close() }

// OpenFile opens the regular file at path in the root filesystem of the image
// that ref means for the client's platform; see [rootfs.Open].
func (c *Client) OpenFile(ctx context.Context, ref, path string, o RootFSOptions) (*rootfs.OpenedFile, error) {
	s, layers, _, err := c.rootfsLayers(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	file, err := rootfs.Open(ctx, layers, path, c.rootfsOptions(o))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look into %s: %w", s.Reference(), err), s.Close())
	}
	s.Keep(ctx)
	if err := s.Close(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func (c *Client) rootfsOptions(o RootFSOptions) rootfs.Options {
	return rootfs.Options{
		Store: o.Store, Journals: o.Journals, Jobs: fetch.Jobs(c.options.Jobs), Strict: c.options.Strict, Limits: c.options.Limits,
		Windows: c.options.Windows, Buffers: c.buffers, Memory: c.options.Memory, Logger: c.log,
	}
}

// rootfsLayers opens ref and lists its layers, the lowest first.
func (c *Client) rootfsLayers(ctx context.Context, ref string, o RootFSOptions) (*source.Source, []rootfs.Layer, source.Image, error) {
	s, err := c.open(ctx, ref)
	if err != nil {
		return nil, nil, source.Image{}, err
	}
	found, err := c.findLayers(ctx, s, o.Store)
	if err != nil {
		return nil, nil, found, errors.Join(fmt.Errorf("look into %s: %w", s.Reference(), err), s.Close())
	}
	f := c.fetcher(s)
	var layers []rootfs.Layer
	for _, l := range fetch.Number(found.Layers) {
		layers = append(layers, rootfs.Layer{Layer: l.Layer, Fetch: func(ctx context.Context, use func(io.Reader) error) error {
			f.Tell(l.Event(progress.LayerMissing))
			return f.Layer(ctx, l, func(b *fetch.Blob) error { return use(b) })
		}})
	}
	return s, layers, found, nil
}

// findLayers lists an image's layers, the lowest first. For an image that is
// complete in the store it reads no manifest of an image, only what leads to the
// manifest's digest, and offline nothing at all; then only Layers is set.
func (c *Client) findLayers(ctx context.Context, s *source.Source, store *overlaystore.Store) (source.Image, error) {
	if c.options.Offline && store != nil {
		wanted, err := s.Wanted()
		if err != nil {
			return source.Image{}, err
		}
		image, err := store.LookupToRead(s.Reference().String(), wanted)
		if pinned := s.Reference().Digest(); errors.Is(err, overlaystore.ErrNotFound) && pinned != "" {
			image, err = store.Image(pinned)
		}
		if err == nil && complete(store, image) {
			return source.Image{Layers: storedLayers(image)}, c.JudgeStored(ctx, store, s.Reference().String(), image)
		}
	}
	r, err := s.Resolve(ctx)
	if err == nil {
		err = c.judge().Admit(ctx, s, r, store)
	}
	if err != nil {
		return source.Image{}, err
	}
	if store != nil {
		image, err := store.Image(r.Manifest.Digest)
		if err == nil && complete(store, image) {
			return source.Image{Layers: storedLayers(image)}, nil
		}
	}
	return s.AnyImage(ctx, r)
}

func complete(store *overlaystore.Store, i overlaystore.Image) bool {
	return !slices.ContainsFunc(i.Layers, func(d digest.Digest) bool { return !stored.Has(store, d) })
}

// storedLayers returns the diffIDs of a stored image as layers without blobs.
func storedLayers(i overlaystore.Image) []manifest.Layer {
	var layers []manifest.Layer
	for _, diffID := range i.Layers {
		layers = append(layers, manifest.Layer{DiffID: diffID})
	}
	return layers
}
