// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// Blob is the stream of a layer's blob. It reports how far it has been read, but
// nothing below what an earlier Blob of the same layer has reported.
type Blob struct {
	layer   Layer
	buffers *unpack.Buffers
	stream  io.ReadCloser
	open    func() (io.ReadCloser, error) // opens stream when that is nil
	closed  bool
	n       int64  // bytes read
	high    *int64 // the most that was reported of the layer
	report  func(n int64)
	from    *unpack.Checkpoint // where the stream begins; nil is the start
}

// State appends to p the state of the digest of the first n bytes, as the source's
// stream has it; it returns nil where the stream has none.
func (b *Blob) State(p []byte) (state []byte, n int64) {
	s, ok := b.stream.(interface {
		State(p []byte) ([]byte, int64)
	})
	if !ok {
		return nil, b.n
	}
	return s.State(p)
}

// Read implements io.Reader.
func (b *Blob) Read(p []byte) (n int, err error) {
	if b.stream == nil {
		if b.stream, err = b.open(); err != nil {
			return 0, err
		}
	}
	n, err = b.stream.Read(p)
	b.n += int64(n)
	if b.n > *b.high {
		*b.high = b.n
		b.report(b.n)
	}
	return n, err
}

// Close closes the stream. A second time it does nothing.
func (b *Blob) Close() error {
	if b.closed || b.stream == nil {
		return nil
	}
	b.closed = true
	return b.stream.Close()
}

// Unpack unpacks the layer into a directory and closes the blob.
func (b *Blob) Unpack(ctx context.Context, dir *os.File, o unpack.Options) (unpack.Result, error) {
	o.Buffers = b.buffers
	made := &usage{next: o.Record}
	if o.Record != nil {
		o.Record = made.record
	}
	r, err := unpack.Layer(ctx, dir, b, b.source(), o)
	if err = errors.Join(err, b.Close()); err != nil {
		return unpack.Result{}, made.explain(err, b.n, b.layer.Descriptor.Size)
	}
	return r, nil
}

// Entries reads the layer's entries, writes nothing, and closes the blob.
func (b *Blob) Entries(ctx context.Context, o unpack.ReadOptions) (unpack.Result, error) {
	o.Buffers = b.buffers
	r, err := unpack.Read(ctx, b, b.source(), o)
	return r, errors.Join(err, b.Close())
}

func (b *Blob) source() unpack.Source {
	return unpack.Source{MediaType: b.layer.Descriptor.MediaType, DiffID: b.layer.DiffID, Size: b.layer.Descriptor.Size, From: b.from}
}

// usage counts what an unpacking takes on the disk.
type usage struct {
	next  func(layer.Entry) error
	paths int64
	bytes int64 // of files' contents
}

func (u *usage) record(e layer.Entry) error {
	u.paths++
	u.bytes += e.Size
	return u.next(e)
}

// explain adds to the error of a full disk how much the layer needs. The tar does not
// say, so it is estimated from the part of the blob that was read. The estimate is too
// low, for unpacking reads ahead.
func (u *usage) explain(err error, read, size int64) error {
	full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
	if !full || read <= 0 || u.paths < 2 {
		return err
	}
	whole := float64(max(size, read)) / float64(read)
	return fmt.Errorf("%w; the layer needs more than %.0f bytes and %.0f inodes", err, float64(u.bytes)*whole, float64(u.paths)*whole)
}
