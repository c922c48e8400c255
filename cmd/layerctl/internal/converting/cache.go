// SPDX-License-Identifier: Apache-2.0

package converting

import (
	"errors"
	"io"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// blobsOf returns a function that opens the blobs of a cache.
func blobsOf(kept *cache.Cache) func(layer.Blob) (io.ReadCloser, error) {
	return func(b layer.Blob) (io.ReadCloser, error) {
		return kept.Blob(ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size})
	}
}

// copyCache copies the cache without its layers: manifests, configs and other documents,
// with their names. With --keep-blobs it copies layers too.
func copyCache(c *cli.Context, kept *cache.Cache, from, to *overlaystore.Store) (err error) {
	other, err := cache.Open(c.Context, filepath.Join(to.Path(), "blobs"))
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, other) }()
	layers, err := layerBlobs(from)
	if err != nil {
		return err
	}
	stored, err := kept.Blobs()
	if err != nil {
		return err
	}
	for _, b := range stored {
		if !c.Bool("keep-blobs") && (layers[b.Digest] || b.Size > registry.MaxManifest) || other.Has(b.Descriptor) {
			continue
		}
		if err := copyBlob(c, kept, other, b.Descriptor); err != nil {
			return err
		}
	}
	named, err := kept.Tagged()
	if err != nil {
		return err
	}
	for _, desc := range named {
		if !other.Has(desc) {
			continue
		}
		if err := other.Tag(c.Context, desc.Annotations[ocispec.AnnotationRefName], desc); err != nil {
			return err
		}
	}
	return nil
}

// copyBlob copies a blob. It leaves out a damaged one.
func copyBlob(c *cli.Context, from, to *cache.Cache, desc ocispec.Descriptor) error {
	r, err := from.Blob(desc)
	if err == nil {
		err = errors.Join(to.Put(c.Context, desc, r), r.Close())
	}
	if errors.Is(err, cache.ErrMiss) {
		return nil
	}
	return err
}

// layerBlobs returns the digests of the blobs of a store's layers.
func layerBlobs(s *overlaystore.Store) (map[digest.Digest]bool, error) {
	images, err := s.Images()
	if err != nil {
		return nil, err
	}
	found := map[digest.Digest]bool{}
	for _, img := range images {
		for _, diffID := range img.Layers {
			rec, err := s.Layer(diffID)
			if err != nil {
				continue // recast.Convert reports the error
			}
			for _, b := range rec.Blobs {
				found[b.Digest] = true
			}
		}
	}
	return found, nil
}
