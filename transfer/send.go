// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry"
)

// Document is an index or a manifest to send.
type Document struct {
	Descriptor ocispec.Descriptor
	Raw        []byte // exactly the bytes that the descriptor describes
	// From names where the blobs of a manifest are. It is not used for an index.
	From registry.Reference
}

// Send copies documents to the destination to, with the blobs that they name. A manifest
// must come before the indexes that list it. The last document gets the tag of to and, in
// a repository or a layout, tags. The options Platforms, Referrers, Form and Compress are
// not used.
func Send(ctx context.Context, client *registry.Client, all []Document, to registry.Reference, tags []string, o Options) (_ Done, err error) {
	c := &copier{client: client, options: o, done: Done{Source: to, Destination: to}}
	opened := map[registry.Reference]*reader{}
	defer func() {
		err = errors.Join(err, c.close())
		for _, r := range opened {
			err = errors.Join(err, r.Close())
		}
	}()
	var docs []document
	for _, d := range all {
		desc := ocispec.Descriptor{MediaType: d.Descriptor.MediaType, Digest: d.Descriptor.Digest, Size: d.Descriptor.Size}
		if manifest.IsIndex(desc.MediaType) {
			docs = append(docs, document{desc: desc, raw: d.Raw, index: true})
			continue
		}
		r := opened[d.From]
		if r == nil {
			s, err := c.from(ctx, d.From)
			if err != nil {
				return c.done, err
			}
			r = &reader{Origin: s}
			opened[d.From] = r
		}
		doc, err := r.parse(desc, d.Raw)
		if err != nil {
			return c.done, err
		}
		docs = append(docs, doc)
	}
	if err := c.send(ctx, docs, to, append([]string{tagFor(to, to)}, tags...)...); err != nil {
		return c.done, fmt.Errorf("send to %s: %w", to, err)
	}
	return c.done, nil
}
