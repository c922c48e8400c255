// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/layerctl/layerctl/internal/inflate"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/mikelolasagasti/xz"
)

const (
	// leastWindow is the memory that each archive may ask for: RFC 8878,
	// 3.1.1.1.2, wants it of all decoders of zstd.
	leastWindow = 8 << 20
	// mostWindow is what zstd --long=27 takes; xz -9 takes half of it.
	mostWindow = 128 << 20
)

// compression is one way in which an archive is compressed as a whole.
type compression struct {
	name string
	// open begins to decompress. What it returns has to be read to io.EOF, which
	// comes only where every checksum is right and nothing follows.
	open func(r io.Reader, window int64) (io.ReadCloser, error)
}

// compressionOf goes by the first bytes of a file, 512 at most. It is nil for a
// file that is not compressed in one of these ways.
func compressionOf(start []byte) *compression {
	switch {
	case layertar.Begins(start): // a name in it may begin with any bytes
		return nil
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return &compression{"gzip", openGzip}
	case len(start) >= 4 && isZstd(binary.LittleEndian.Uint32(start)):
		return &compression{"zstd", openZstd}
	case bytes.HasPrefix(start, []byte("BZh")):
		return &compression{"bzip2", openBzip2}
	case bytes.HasPrefix(start, []byte("\xfd7zXZ\x00")):
		return &compression{"xz", openXz}
	}
	return nil
}

// isZstd knows a frame and the 16 skippable frames of RFC 8878.
func isZstd(magic uint32) bool { return magic == 0xfd2fb528 || magic&^0xf == 0x184d2a50 }

// openGzip reads all members (RFC 1952, 2.2) and zeros behind them.
func openGzip(r io.Reader, _ int64) (io.ReadCloser, error) {
	return io.NopCloser(inflate.NewReader(r)), nil
}

func openBzip2(r io.Reader, _ int64) (io.ReadCloser, error) {
	return io.NopCloser(bzip2.NewReader(r)), nil // all streams of the file, 3.6 MB of memory
}

func openZstd(r io.Reader, window int64) (io.ReadCloser, error) {
	z, err := zstd.NewReader(r,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(window)))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

func openXz(r io.Reader, window int64) (io.ReadCloser, error) {
	z, err := xz.NewReader(r, uint32(window))
	return io.NopCloser(z), err
}

// damage says what is wrong with the data of a compressed archive.
func (c *compression) damage(err error, window int64) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, xz.ErrMemlimit):
		return failure.New(failure.Malformed, "the archive is compressed with %s for a window of more than %d bytes: decompress it first", c.name, window)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return failure.New(failure.Malformed, "the archive, compressed with %s, is cut short", c.name)
	case errors.Is(err, inflate.ErrTrailing), errors.Is(err, zstd.ErrMagicMismatch):
		return failure.New(failure.Malformed, "garbage behind the end of the archive, which is compressed with %s: %w", c.name, err)
	}
	return failure.New(failure.Malformed, "the archive, compressed with %s, is damaged: %s", c.name, failure.OneLine(err.Error()))
}
