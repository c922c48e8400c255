// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	_ "crypto/sha256" // go-digest finds its algorithms by these imports
	_ "crypto/sha512"

	"github.com/layerctl/layerctl/internal/inflate"
	"github.com/opencontainers/go-digest"
)

// stream is the uncompressed tar of a blob: counted, hashed and limited.
type stream struct {
	done   func() error // the context's
	pieces source
	hash   digest.Digester
	want   digest.Digest
	limits Limits
	size   int64 // of the tar, so far
	read   int64 // of the blob, for that
	piece  piece
	unread []byte
	err    error
}

// piece is a part of the tar on its way from stage to stage.
type piece struct {
	buf  *inflate.Buffer
	data []byte
	read int64 // how much of the blob it took, from the start
	err  error // in place of data
}

// source gives the tar out piece by piece, hashed already. The last piece is
// passed back for its buffer to be used again. After a piece with an error
// there are no more.
type source interface {
	next(last piece) piece
}

// decoder makes the pieces.
type decoder struct {
	in      decompressor
	blob    *blobReader
	hash    io.Writer // of the diffID
	buffers *Buffers
}

// pieceSize is what is decompressed and hashed at a time. It and its window
// stay in a second-level cache.
const pieceSize = 256 << 10

const cutShort = "the compressed layer is cut short"

// openDecoder finds out what the blob is.
func openDecoder(ctx context.Context, b *blobReader, mediaType string, o Options, n *notes) (*decoder, string, error) {
	d := &decoder{blob: b, buffers: o.Buffers}
	in := bufio.NewReaderSize(b, 4096) // to look at the start; large reads pass it by
	c, err := chooseCompression(mediaType, in, n)
	if err == nil {
		d.in, err = c.open(opening{ctx, in, o.Windows, o.Buffers})
	}
	if err != nil {
		return nil, "", d.explain(err)
	}
	return d, c.name, nil
}

// next makes one piece after the other in the caller's goroutine.
func (d *decoder) next(last piece) piece {
	p := d.decode(last.buf)
	d.sum(p)
	return p
}

func (d *decoder) decode(b *inflate.Buffer) piece {
	if b == nil {
		b = d.buffers.piece()
	}
	data, err := d.in.Next(b)
	if err != nil && err != io.EOF {
		err = d.explain(err)
	}
	return piece{b, data, d.blob.n, err}
}

func (d *decoder) sum(p piece) { _, _ = d.hash.Write(p.data) } // a hash's Write has no error

// explain makes of a decompressor's error what the caller should see.
func (d *decoder) explain(err error) error {
	if failure := d.blob.failure(); failure != nil {
		return fmt.Errorf("read blob: %w", failure)
	}
	var known *MalformedError
	var limit *LimitError
	if errors.As(err, &known) || errors.As(err, &limit) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return &MalformedError{Offset: d.blob.n, Reason: cutShort}
	}
	return &MalformedError{Offset: -1, Reason: fmt.Sprintf("decompress: %q", err.Error())}
}

func newStream(ctx context.Context, want digest.Digest, limits Limits) (*stream, error) {
	algorithm := digest.Canonical
	if want != "" {
		if err := want.Validate(); err != nil {
			return nil, fmt.Errorf("diffID %s: %w", quote(string(want)), err)
		}
		algorithm = want.Algorithm()
	}
	return &stream{done: ctx.Err, hash: algorithm.Digester(), want: want, limits: limits}, nil
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	b, err := s.Next(int64(len(p)))
	return copy(p, b), err
}

// Next returns what comes next, n bytes at most, until it is called again. The
// bytes in front of an error come before it.
func (s *stream) Next(n int64) ([]byte, error) {
	if len(s.unread) == 0 {
		if s.err == nil {
			s.fill()
		}
		if len(s.unread) == 0 {
			return nil, s.err
		}
	}
	b := s.unread[:min(n, int64(len(s.unread)))]
	s.unread = s.unread[len(b):]
	return b, nil
}

// fill takes the next piece.
func (s *stream) fill() {
	if s.err = s.done(); s.err != nil {
		return
	}
	s.piece = s.pieces.next(s.piece)
	s.size += int64(len(s.piece.data))
	s.read = s.piece.read
	s.unread, s.err = s.piece.data, s.piece.err
	if err := s.limit(); err != nil {
		s.unread, s.err = nil, err
	}
}

func (s *stream) limit() error {
	if s.size > s.limits.Bytes {
		return &LimitError{Limit: "bytes", Max: s.limits.Bytes}
	}
	if s.size > ratioFloor && s.size/s.limits.Ratio > s.read {
		return &LimitError{Limit: "ratio", Max: s.limits.Ratio}
	}
	return nil
}

// verify compares the diffID, once everything was read.
func (s *stream) verify() (digest.Digest, error) {
	got := s.hash.Digest()
	if s.want != "" && got != s.want {
		return got, &MismatchError{Want: s.want, Got: got}
	}
	return got, nil
}
