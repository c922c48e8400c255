// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// unpackOptions say how to unpack into this store's form.
func (p *Pull) unpackOptions() unpack.Options {
	return unpack.Options{
		Form:        p.store.Format().Form,
		Strict:      p.options.Strict,
		Limits:      p.options.Limits,
		Windows:     p.options.Windows,
		Paths:       p.options.Paths,
		Devices:     p.options.Devices,
		WriteBehind: p.store.Syncs(), // it only helps a sync
		Serial:      p.options.Serial,
		Logger:      p.options.Logger,
	}
}

// record makes an image of the layers: it writes the fix layer, the image's record,
// and then the reference, which makes the image visible. It writes nothing where the
// store lacks a layer.
func (p *Pull) record(ctx context.Context, r source.Resolution, i source.Image) (overlaystore.Image, error) {
	img := overlaystore.Image{
		// The store names images by sha256; a reference may pin another digest.
		Manifest: digest.FromBytes(i.Manifest.Raw),
		Config:   i.Manifest.Config.Digest,
		Platform: i.Config.Platform,
		Layers:   i.DiffIDs(),
		Size:     r.Manifest.Size + i.Manifest.Config.Size + i.Manifest.Size(),
	}
	if p.absent > 0 {
		return img, nil
	}
	img, err := p.store.PutImage(ctx, img)
	if err != nil {
		return overlaystore.Image{}, err
	}
	wanted, err := p.source.Wanted()
	if err != nil {
		return overlaystore.Image{}, err
	}
	o := overlaystore.TagOptions{Wanted: wanted}
	if r.Root.Digest != r.Manifest.Digest {
		o.Platform = r.Manifest.Platform // the index's, by which the image was chosen
	}
	return img, p.store.Tag(ctx, r.Reference.String(), img.Manifest, o)
}

// nameable refuses an image with a diffID that is no sha256, by which the store names
// layers.
func nameable(i source.Image) error {
	for n, l := range i.Layers {
		if l.DiffID.Algorithm() != digest.SHA256 {
			return fmt.Errorf("%w: the diffID of layer %d is by %s, and the store names layers by sha256", manifest.ErrUnsupported, n+1, l.DiffID.Algorithm())
		}
	}
	return nil
}
