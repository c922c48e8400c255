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

// layer fetches one layer into a staging. Where it must fetch the layer once more it
// replaces the staging by an empty one first.
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
		err = errors.Join(err, (*st).Discard()) // the next pull must not continue it
	}
	if err != nil {
		return p.explain(err)
	}
	p.fetch.Done(l)
	return nil
}

// explain adds to the error of a full disk which filesystem that is, and what it
// lacks.
func (p *Pull) explain(err error) error {
	var reserve *unpack.SpaceError
	if errors.As(err, &reserve) {
		return fmt.Errorf("%w, on the filesystem of %s", err, p.store.Path())
	}
	return p.store.Explain(err)
}

// unpack streams one blob into its staging. counts are those of the entries before the
// checkpoint from which b continues.
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

// fill unpacks the blob into a staging, or in a store of tars keeps its tar there.
func fill(ctx context.Context, st *overlaystore.Staging, b *fetch.Blob, o unpack.Options) (unpack.Result, error) {
	tar := st.Tar()
	if tar == nil {
		return b.Unpack(ctx, st.Dir(), o)
	}
	return b.Entries(ctx, layerrecord.OfTar(o, tar))
}

// keepPresent fetches the blobs of layers that the store had before into the cache,
// if that is to have the whole image.
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

// room returns an error at once where the layers cannot fit on the disk.
func (p *Pull) room(missing []fetch.Layer) error {
	return p.store.Room(p.least(missing))
}

// least returns the bytes and inodes that these layers take at the least, without
// what is on the disk already: a layer takes as many bytes as its blob has.
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
