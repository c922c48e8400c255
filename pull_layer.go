// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// layer fills a staging with one layer. Where bytes of several responses do
// not make the blob, or the cache's are damaged, it is thrown away and filled
// once more in its place, from the first byte.
func (p *pull) layer(ctx context.Context, st **overlaystore.Staging, l numbered) error {
	high := int64(0)
	p.tell(l.event(LayerProgress))
	err := p.stream(ctx, *st, l, &high)
	if worthAgain(err) {
		p.client.log.Warn("fetch the layer again", "digest", l.Descriptor.Digest, "error", err)
		p.tell(l.event(LayerAgain))
		if err := (*st).Discard(); err != nil {
			return err
		}
		clean, err := p.store.TryStage(ctx, l.DiffID)
		if err != nil {
			return err
		}
		*st = clean
		return p.finish(p.stream(ctx, clean, l, &high), l)
	}
	return p.finish(err, l)
}

// finish tells of a layer that is done, or says what is wrong with the disk.
func (p *pull) finish(err error, l numbered) error {
	if err != nil {
		return p.explain(err)
	}
	done := l.event(LayerDone)
	done.Offset = l.Descriptor.Size
	p.tell(done)
	return nil
}

// explain says of a full disk where it is and what it is full of.
func (p *pull) explain(err error) error {
	var reserve *unpack.SpaceError
	if errors.As(err, &reserve) {
		return fmt.Errorf("%w, on the filesystem of %s", err, p.store.Path())
	}
	return p.store.Explain(err)
}

// stream streams one blob into its staging.
func (p *pull) stream(ctx context.Context, st *overlaystore.Staging, l numbered, high *int64) error {
	options := p.unpackOptions()
	if !p.options.unrecorded {
		options.Record = st.Record
	}
	result, counts, err := p.unpack(ctx, st.Dir(), l, high, options)
	if err != nil {
		return err
	}
	return st.Seal(ctx, layerRecord(l.Layer, result, counts))
}

// keepPresent brings the blobs into the cache of which the store had the
// layers before, where all of an image is to be kept.
func (p *pull) keepPresent(ctx context.Context, layers []manifest.Layer) error {
	if !p.source.keepBlobs || p.source.offline {
		return nil
	}
	seen := map[digest.Digest]bool{}
	for i, l := range layers {
		n := numbered{Layer: l, number: i + 1, of: len(layers)}
		if seen[l.Descriptor.Digest] || p.fetched[l.DiffID] || p.source.has(l.Descriptor) {
			continue
		}
		seen[l.Descriptor.Digest] = true
		if err := p.keep(ctx, n); err != nil {
			return fmt.Errorf("layer %d/%d %s: %w", n.number, n.of, l.Descriptor.Digest, err)
		}
	}
	return nil
}

func (p *pull) keep(ctx context.Context, l numbered) error {
	blob, err := p.source.Blob(ctx, l.Descriptor)
	if err != nil {
		return err
	}
	high := int64(0)
	p.tell(l.event(LayerProgress))
	_, err = io.Copy(io.Discard, p.counting(blob, l, &high))
	if err = errors.Join(err, blob.Close()); err == nil {
		p.warnUnkept(blob, l)
	}
	return err
}

// room refuses at once what cannot fit: a layer takes at least as much room as
// its blob, and a directory or two.
func (p *pull) room(missing []numbered) error {
	return p.store.Room(p.least(missing))
}

// least is the room that these layers take at the least, in bytes and inodes.
func (p *pull) least(missing []numbered) (bytes, inodes uint64) {
	const each = 8 // of a staging: its directories, records and links
	for _, l := range missing {
		bytes += uint64(l.Descriptor.Size)
		if p.source.keepBlobs && !p.source.has(l.Descriptor) {
			bytes += uint64(l.Descriptor.Size)
			inodes++
		}
	}
	return bytes, inodes + each*uint64(len(missing))
}
