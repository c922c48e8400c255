// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"errors"
	"io"

	"github.com/layerctl/layerctl/internal/inflate"
)

func openGzip(o opening) (decompressor, error) {
	return gzipReader{o.buffers.reader(o.in), o.buffers}, nil
}

// gzipReader reads all members of a gzip file (RFC 1952, 2.2). After the last
// one nothing may follow but zeros: tapes and some registries pad with them.
type gzipReader struct {
	*inflate.Reader
	buffers *Buffers
}

// Next decompresses the next piece, and says where the fault is if there is
// one.
func (g gzipReader) Next(b *inflate.Buffer) ([]byte, error) {
	data, err := g.Reader.Next(b)
	var fault *inflate.FormatError
	if !errors.As(err, &fault) {
		return data, err
	}
	reason := fault.Err.Error()
	switch fault.Err {
	case inflate.ErrTrailing:
		reason = "garbage after the end of the gzip stream"
	case io.ErrUnexpectedEOF:
		reason = cutShort
	}
	return data, &FormatError{Offset: fault.Offset, Reason: reason}
}

func (g gzipReader) pause() { g.PauseAt(1) }

func (g gzipReader) place() (in int64, state []byte, ok bool) {
	c, ok := g.Checkpoint()
	if !ok {
		return 0, nil, false
	}
	state, err := c.MarshalBinary()
	return c.In, state, err == nil
}

func (g gzipReader) close() { g.buffers.keepReader(g.Reader) }
