// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// checkpointFrom is the smallest size of a blob for which checkpoints are made.
const checkpointFrom = 1 << 20

// checkpointEvery is the time between two checkpoints, each of which takes a
// millisecond or two. A layer that takes less time has none.
const checkpointEvery = 250 * time.Millisecond

// begun is the state of a layer that is being pulled, as the store keeps it.
type begun struct {
	Blob      digest.Digest
	Size      int64
	MediaType string
	Counts    layer.Counts
	Offset    int64
	BlobState []byte
	State     json.RawMessage
}

// checkpoints saves the layer's state while it is unpacked; nil where a later
// process could not fetch only the rest of the blob.
func (p *Pull) checkpoints(ctx context.Context, st *overlaystore.Staging, l fetch.Layer, counts *layer.Counts) *unpack.Checkpoints {
	if l.Descriptor.Size < checkpointFrom || l.DiffID == "" || p.options.Unrecorded || !p.source.GoesOn(l.Descriptor) {
		return nil
	}
	return &unpack.Checkpoints{Every: cmp.Or(p.options.Checkpoint, checkpointEvery), Save: func(c unpack.Checkpoint) error {
		b := begun{
			Blob: l.Descriptor.Digest, Size: l.Descriptor.Size, MediaType: l.Descriptor.MediaType,
			Offset: c.Offset, BlobState: c.BlobState, State: c.State,
		}
		if st.Tar() == nil {
			b.Counts = *counts // entries of a tar are read and counted again
		}
		raw, err := json.Marshal(b)
		if err != nil {
			return err
		}
		return st.Checkpoint(ctx, raw, string(c.File), cmp.Or(p.options.Settle, settleAfter))
	}}
}

// begunOf decodes a state; it is false where that is not of the layer's blob.
func begunOf(raw []byte, l fetch.Layer) (b begun, ok bool) {
	err := json.Unmarshal(raw, &b)
	return b, err == nil && b.Blob == l.Descriptor.Digest && b.Size == l.Descriptor.Size && b.MediaType == l.Descriptor.MediaType &&
		b.Offset >= 0 && b.Offset <= b.Size
}

// begun returns how much an interrupted pull has left of a layer: how many bytes of
// its blob need not be fetched, and how many bytes of its files are on the disk.
func (p *Pull) begun(l fetch.Layer) (blob, files int64) {
	if !p.source.GoesOn(l.Descriptor) {
		return p.source.Begun(l.Descriptor), 0
	}
	raw, files := p.store.Begun(l.DiffID)
	b, ok := begunOf(raw, l)
	if !ok {
		return 0, 0
	}
	return b.Offset, files
}

// goOn fetches the rest of a layer that an interrupted pull has begun. It is false
// where there is no checkpoint, or where the result is not the layer; then the staging
// is empty.
func (p *Pull) goOn(ctx context.Context, st **overlaystore.Staging, l fetch.Layer, stage stageFunc) (bool, error) {
	if p.options.Unrecorded || !p.source.GoesOn(l.Descriptor) {
		return false, nil
	}
	raw, err := (*st).GoOn(ctx)
	if err != nil || raw == nil {
		return false, err
	}
	b, ok := begunOf(raw, l)
	if !ok {
		return false, p.clean(ctx, st, l, stage)
	}
	p.options.Logger.Info("go on with a layer of an interrupted pull", "layer", l.DiffID, "bytes", b.Offset)
	from := &unpack.Checkpoint{Offset: b.Offset, BlobState: b.BlobState, State: b.State}
	err = p.fetch.LayerFrom(ctx, l, from, func(blob *fetch.Blob) error {
		return p.unpack(ctx, *st, l, blob, b.Counts)
	})
	if err == nil {
		p.fetch.Done(l)
		return true, nil
	}
	if !doubtful(ctx, err) {
		return true, p.explain(err)
	}
	p.options.Logger.Warn("fetch the layer from its start", "layer", l.DiffID, "error", err)
	return false, p.clean(ctx, st, l, stage)
}

// clean replaces a staging by an empty one.
func (p *Pull) clean(ctx context.Context, st **overlaystore.Staging, l fetch.Layer, stage stageFunc) error {
	if err := (*st).Discard(); err != nil {
		return err
	}
	clean, err := stage(ctx, l.DiffID)
	if err == nil {
		*st = clean
	}
	return err
}

// doubtful reports whether err means that what was unpacked may be wrong, and not
// only that the unpacking was interrupted.
func doubtful(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (errors.Is(err, errkind.Mismatch) || errors.Is(err, errkind.Malformed) || errors.Is(err, errors.ErrUnsupported))
}
