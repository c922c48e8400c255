// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// Refetch fetches one layer of a stored image again, and replaces the damaged one.
func (p *Pull) Refetch(ctx context.Context, img overlaystore.Image, diffID digest.Digest, number, of int) (err error) {
	desc, err := p.blobOf(ctx, img, diffID)
	if err != nil {
		return err
	}
	st, err := p.store.Restage(ctx, diffID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Discard()) }()
	l := fetch.Layer{Layer: manifest.Layer{Descriptor: desc, DiffID: diffID}, Number: number, Of: of}
	if err := p.layer(ctx, &st, l, p.store.Restage); err != nil {
		return err
	}
	return p.store.ReplaceLayer(ctx, st)
}

// blobOf returns the descriptor of a layer's blob: that in the layer's record or,
// where the record is damaged too, that in the manifest to which the reference leads
// now. The record comes first, for a tag may have moved. Only for a foreign layer the
// manifest does, for it has the layer's urls.
func (p *Pull) blobOf(ctx context.Context, img overlaystore.Image, diffID digest.Digest) (ocispec.Descriptor, error) {
	record, err := p.store.Layer(diffID)
	if err != nil || len(record.Blobs) == 0 {
		return p.listed(ctx, img, diffID)
	}
	b := record.Blobs[0]
	if manifest.IsForeign(b.MediaType) {
		if desc, err := p.listed(ctx, img, diffID); err == nil {
			return desc, nil
		}
	}
	return ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size}, nil
}

// listed returns the descriptor of the layer's blob in the manifest to which the
// reference leads now, which must still be the image's.
func (p *Pull) listed(ctx context.Context, img overlaystore.Image, diffID digest.Digest) (ocispec.Descriptor, error) {
	resolution, err := p.source.Resolve(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if resolution.Manifest.Digest != img.Manifest {
		return ocispec.Descriptor{}, fmt.Errorf("%s is another image now: %w", resolution.Reference, registry.ErrNotFound)
	}
	fresh, err := p.source.AnyImage(ctx, resolution)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, l := range fresh.Layers {
		if l.DiffID == diffID {
			return l.Descriptor, nil
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("%s has no such layer: %w", resolution.Reference, registry.ErrNotFound)
}
