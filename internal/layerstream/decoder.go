// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"
)

const cutShort = "the compressed layer is cut short"

// decoder fills pieces with the tar.
type decoder struct {
	in   decompressor
	blob *blobReader
	hash hash.Hash // of the diffID

	buffers *Buffers

	ahead   *readAhead // that blob reads from; nil where it does not
	asked   atomic.Bool
	wanted  bool // a mark, by who asked
	pausing bool
	slow    bool   // the blob comes slowly: each piece ends at the first place that it can
	mark    *Mark  // for the piece that comes next
	begun   *begun // the same as in; nil where nothing was
	begin   func() // the reading of the blob, where that waits for what was begun
}

// open finds out how the blob is compressed.
func (d *decoder) open(ctx context.Context, o Options) (c compression, mistyped bool, err error) {
	in := bufio.NewReaderSize(d.blob, 4096) // to see the start; large reads pass it by
	at := opening{ctx, in, d.blob, o.Windows, o.Buffers}
	if o.From != nil {
		c, err = d.goOn(at, o.From, o.Begun)
		mistyped = o.From.Mistyped
	} else if c, mistyped, err = chooseCompression(o.MediaType, in); err == nil {
		d.in, err = c.open(at)
	}
	if err != nil {
		err = d.explain(err)
	}
	return c, mistyped, err
}

func (d *decoder) decode(p *Piece) {
	p.mark, d.mark = d.mark, nil
	d.wanted = d.asked.Swap(false) || d.wanted
	if d.wanted || d.slow {
		d.pausing = true
		d.in.pause()
	}
	d.begun.tell(p)
	if p.buf == nil {
		p.buf = d.buffers.buffer()
	}
	p.data, p.err = d.in.Next(p.buf)
	d.slow = d.ahead.lag() > slowPiece
	d.look()
	p.read = d.blob.n
	if p.err != nil && p.err != io.EOF {
		p.err = d.explain(p.err)
	}
}

func (d *decoder) sum(p *Piece) {
	if p.proof != nil && !bytes.Equal(p.proof, stateOf(d.hash)) {
		p.data, p.err = nil, ErrMark
	}
	if p.mark != nil {
		p.mark.TarState = stateOf(d.hash)
	}
	_, _ = d.hash.Write(p.data) // a hash's Write has no error
}

// explain makes of a decompressor's error what the caller should see.
func (d *decoder) explain(err error) error {
	if failure := d.blob.failure(); failure != nil {
		return fmt.Errorf("read blob: %w", failure)
	}
	var format *FormatError
	var limit *LimitError
	if errors.As(err, &format) || errors.As(err, &limit) || errors.Is(err, ErrMark) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return &FormatError{Offset: d.blob.n, Reason: cutShort}
	}
	return &FormatError{Offset: -1, Reason: fmt.Sprintf("decompress: %q", err.Error())}
}
