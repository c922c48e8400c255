// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
)

// Documents are the exact, verified bytes of all that describes an image.
type Documents struct {
	Resolution
	Config ocispec.Descriptor
	// RootBytes are those of the index, or of the manifest where that is what
	// the reference names.
	RootBytes, ManifestBytes, ConfigBytes []byte
}

// Documents reads the manifest and the config of the image that ref means for
// the client's platform, and the index that lists the image. What the cache has
// is not fetched. The errors are those of [Client.Resolve].
func (c *Client) Documents(ctx context.Context, ref string) (Documents, error) {
	var d Documents
	err := c.with(ctx, ref, func(s *source.Source) (err error) {
		d, err = readDocuments(ctx, s)
		return err
	})
	if err != nil {
		return Documents{}, err
	}
	return d, nil
}

// Blobs calls use with each compressed layer of the image that ref means for the
// client's platform, the lowest first. A layer comes from the cache where that has
// it. Its bytes are verified as they are read: only the last read, io.EOF or an
// error, says whether they are right. store, nil for none, remembers which images
// the policy has let in.
func (c *Client) Blobs(ctx context.Context, store *overlaystore.Store, ref string, use func(ocispec.Descriptor, io.Reader) error) error {
	return c.with(ctx, ref, func(s *source.Source) error {
		r, err := s.Resolve(ctx)
		if err != nil {
			return err
		}
		if err := c.judge().Admit(ctx, s, r, store); err != nil {
			return err
		}
		image, err := s.Image(ctx, r)
		if err != nil {
			return err
		}
		for _, l := range fetch.Number(image.Layers) {
			if l.Descriptor.Digest == "" {
				continue // an image without layers has an empty one here
			}
			blob, err := s.Blob(ctx, l.Descriptor)
			if err == nil {
				err = errors.Join(use(l.Descriptor, blob), blob.Close())
			}
			if err != nil {
				return fmt.Errorf("layer %d/%d %s: %w", l.Number, l.Of, l.Descriptor.Digest, err)
			}
		}
		return nil
	})
}

func readDocuments(ctx context.Context, s *source.Source) (d Documents, err error) {
	r, err := s.Resolve(ctx)
	if err != nil {
		return d, err
	}
	d.Resolution = Resolution(r)
	if _, d.RootBytes, err = s.Root(ctx); err != nil {
		return d, err
	}
	if d.ManifestBytes, err = s.Manifest(ctx, r.Manifest); err != nil {
		return d, err
	}
	m, err := manifest.ParseManifest(d.ManifestBytes, r.Manifest.MediaType)
	if err != nil {
		return d, fmt.Errorf("manifest %s: %w", r.Manifest.Digest, err)
	}
	d.Config = m.Config
	d.ConfigBytes, err = s.Config(ctx, m.Config)
	return d, err
}
