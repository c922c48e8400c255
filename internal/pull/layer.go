// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/layerrecord"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// stageFunc begins a staging of a layer.
type stageFunc func(context.Context, digest.Digest) (*overlaystore.Staging, error)

// layer fills a staging with one layer. Where the layer is fetched once more,
// what came of the first try is thrown away, and another staging is in its
// place.
func (p *Pull) layer(ctx context.Context, st **overlaystore.Staging, l fetch.Layer, stage stageFunc) error {
	tried := false
	err := p.fetch.Layer(ctx, l, func(b *fetch.Blob) error {
		if tried {
			if err := p.clean(ctx, st, l, stage); err != nil {
				return err
			}
		}
		tried = true
		return p.unpack(ctx, *st, l, b, layer.Counts{})
	})
	if err != nil && doubtful(ctx, err) {
		err = errors.Join(err, (*st).Discard()) // nobody shall go on with it
	}
	if err != nil {
		return p.explain(err)
	}
	p.fetch.Done(l)
	return nil
}

// explain says of a full disk where it is and what it is full of.
func (p *Pull) explain(err error) error {
	var reserve *unpack.SpaceError
	if errors.As(err, &reserve) {
		return fmt.Errorf("%w, on the filesystem of %s", err, p.store.Path())
	}
	return p.store.Explain(err)
}

// unpack streams one blob into its staging, of whose entries some are counted
// already.
func (p *Pull) unpack(ctx context.Context, st *overlaystore.Staging, l fetch.Layer, b *fetch.Blob, counts layer.Counts) error {
	options := p.unpackOptions()
	options.Checkpoints = p.checkpoints(ctx, st, l, &counts)
	if !p.options.Unrecorded {
		options.Record = layerrecord.Counting(&counts, p.behind.counting(ctx, st.Record))
	}
	result, err := fill(ctx, st, b, options)
	if err != nil {
		return err
	}
	blob := layer.Blob{Digest: l.Descriptor.Digest, Size: l.Descriptor.Size, MediaType: l.Descriptor.MediaType}
	return st.Seal(ctx, layerrecord.Of(result, counts, []layer.Blob{blob}))
}

// fill unpacks the blob into a staging, or keeps its tar there.
func fill(ctx context.Context, st *overlaystore.Staging, b *fetch.Blob, o unpack.Options) (unpack.Result, error) {
	tar := st.Tar()
	if tar == nil {
		return b.Unpack(ctx, st.Dir(), o)
	}
	return b.Entries(ctx, layerrecord.OfTar(o, tar))
}

// keepPresent brings the blobs of layers that the store had before into the
// cache, where all of an image is to be kept.
func (p *Pull) keepPresent(ctx context.Context, layers []manifest.Layer) error {
	if !p.source.KeepsBlobs() || p.source.Offline() {
		return nil
	}
	seen := map[digest.Digest]bool{}
	for _, l := range fetch.Number(layers) {
		if seen[l.Descriptor.Digest] || p.fetched[l.DiffID] || p.source.Has(l.Descriptor) {
			continue
		}
		seen[l.Descriptor.Digest] = true
		if err := p.keep(ctx, l); err != nil {
			return fmt.Errorf("layer %d/%d %s: %w", l.Number, l.Of, l.Descriptor.Digest, err)
		}
	}
	return nil
}

func (p *Pull) keep(ctx context.Context, l fetch.Layer) error {
	return p.fetch.Layer(ctx, l, func(b *fetch.Blob) error {
		_, err := io.Copy(io.Discard, b)
		return err
	})
}

// room refuses at once what cannot fit: a layer takes at least as much room as
// its blob, and a directory or two.
func (p *Pull) room(missing []fetch.Layer) error {
	return p.store.Room(p.least(missing))
}

// least is the room that these layers take at the least, in bytes and inodes, beside
// what of them is there already.
func (p *Pull) least(missing []fetch.Layer) (bytes, inodes uint64) {
	const each = 8 // of a staging: its directories, records and links
	for _, l := range missing {
		_, files := p.begun(l)
		bytes += uint64(max(l.Descriptor.Size-files, 0))
		if p.source.KeepsBlobs() && !p.source.Has(l.Descriptor) {
			bytes += uint64(l.Descriptor.Size)
			inodes++
		}
	}
	return bytes, inodes + each*uint64(len(missing))
}
