// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"

	"github.com/layerctl/layerctl/internal/export"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

// Origin opens what ref names for package transfer, with the client's cache in
// front of a registry. For "store:REFERENCE" it opens the stored image for the
// client's platform. Blobs of such an image come from the cache; layers that the
// cache lacks are compressed again, in a file beside the store, which gives them
// digests other than the registry's, but always the same ones.
func (c *Client) Origin(ctx context.Context, ref registry.Reference, store *overlaystore.Store) (transfer.Origin, error) {
	s, err := c.open(ctx, ref.InRegistry().String())
	if err != nil || ref.Transport() != registry.Store {
		return s, err
	}
	return export.Open(ctx, ref, s, c.fetcher(s), export.Options{
		Store: store, Strict: c.options.Strict, Limits: c.options.Limits, Memory: c.options.Memory, Logger: c.log,
		Admit: func(ctx context.Context, r source.Resolution) error { return c.judge().Admit(ctx, s, r, store) },
	})
}
