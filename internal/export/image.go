// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/registry"
)

// Image is one image of a store, ready to be copied elsewhere. Layers that the cache
// has are the registry's blobs; the others were compressed again. Its methods may be
// called concurrently.
type Image struct {
	as    registry.Reference
	e     *exporter
	image archive.Image
	root  ocispec.Descriptor
}

// Open returns the image that the source names, under the name as. From then on the
// source belongs to the image, also after an error: [Image.Close] closes it.
func Open(ctx context.Context, as registry.Reference, s *source.Source, f *fetch.Fetcher, o Options) (*Image, error) {
	o.Format, o.AllPlatforms = OCIArchive, false
	e := &exporter{source: s, fetch: f, options: o, made: map[digest.Digest]*os.File{}}
	i := &Image{as: as, e: e}
	contents, err := e.contents(ctx)
	if err != nil {
		return nil, errors.Join(err, i.Close())
	}
	i.image, i.root = contents.Images[0], contents.Root
	return i, nil
}

// Reference returns the name that Open was given.
func (i *Image) Reference() registry.Reference { return i.as }

// Warnings returns sentences for a person, a line each.
func (i *Image) Warnings() []string { return i.e.done.Warnings }

// Describe is [Image.Root] without the bytes.
func (i *Image) Describe(context.Context) (ocispec.Descriptor, error) { return i.root, nil }

// Root returns the image's manifest.
func (i *Image) Root(context.Context) (ocispec.Descriptor, []byte, error) {
	return i.root, i.image.Manifest.Raw, nil
}

// Manifest returns the image's manifest. For any other digest the error is
// [source.ErrOffline].
func (i *Image) Manifest(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return i.document(i.image.Manifest, desc)
}

// Config returns the image's config. For any other digest the error is
// [source.ErrOffline].
func (i *Image) Config(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return i.document(i.image.Config, desc)
}

func (i *Image) document(d archive.Document, desc ocispec.Descriptor) ([]byte, error) {
	if d.Descriptor.Digest != desc.Digest {
		return nil, fmt.Errorf("%s: %w", desc.Digest, source.ErrOffline)
	}
	return d.Raw, nil
}

// Blob streams the config or a layer.
func (i *Image) Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if desc.Digest == i.image.Config.Descriptor.Digest {
		return io.NopCloser(bytes.NewReader(i.image.Config.Raw)), nil
	}
	return i.e.blob(ctx, desc)
}

// Close removes the layers that were compressed again and closes the source.
func (i *Image) Close() error { return errors.Join(i.e.Close(), i.e.source.Close()) }
