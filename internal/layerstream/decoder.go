// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
)

const cutShort = "the compressed layer is cut short"

// decoder fills pieces with the tar.
type decoder struct {
	in   decompressor
	blob *blobReader
	hash hash.Hash // of the diffID
}

// open finds out how the blob is compressed.
func (d *decoder) open(ctx context.Context, o Options) (c compression, mistyped bool, err error) {
	in := bufio.NewReaderSize(d.blob, 4096) // to see the start; large reads pass it by
	c, mistyped, err = chooseCompression(o.MediaType, in)
	if err == nil {
		d.in, err = c.open(opening{ctx, in, o.Windows, o.Buffers})
	}
	if err != nil {
		err = d.explain(err)
	}
	return c, mistyped, err
}

func (d *decoder) decode(p *Piece) {
	p.data, p.err = d.in.Next(p.buf)
	p.read = d.blob.n
	if p.err != nil && p.err != io.EOF {
		p.err = d.explain(p.err)
	}
}

func (d *decoder) sum(p *Piece) { _, _ = d.hash.Write(p.data) } // a hash's Write has no error

// explain makes of a decompressor's error what the caller should see.
func (d *decoder) explain(err error) error {
	if failure := d.blob.failure(); failure != nil {
		return fmt.Errorf("read blob: %w", failure)
	}
	var format *FormatError
	var limit *LimitError
	if errors.As(err, &format) || errors.As(err, &limit) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return &FormatError{Offset: d.blob.n, Reason: cutShort}
	}
	return &FormatError{Offset: -1, Reason: fmt.Sprintf("decompress: %q", err.Error())}
}
