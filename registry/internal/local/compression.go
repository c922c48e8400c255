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
	// leastWindow is the window in bytes that every decoder of zstd should accept, by
	// RFC 8878, 3.1.1.1.2.
	leastWindow = 8 << 20
	// mostWindow is the window in bytes of zstd --long=27; xz -9 takes half of it.
	mostWindow = 128 << 20
)

// compression is one format in which an archive is compressed as a whole.
type compression struct {
	name string
	// open returns a reader of what r decompresses to. It returns io.EOF only if every
	// checksum is right and nothing follows.
	open func(r io.Reader, window int64) (io.ReadCloser, error)
}

// compressionOf recognises the format by the first 512 bytes of a file, or all if it has
// fewer. It returns nil for a file in none of these formats.
func compressionOf(start []byte) *compression {
	switch {
	case layertar.Begins(start): // a tar begins with a name, and so with any bytes
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

// isZstd recognises a frame and the 16 kinds of skippable frames of RFC 8878.
func isZstd(magic uint32) bool { return magic == 0xfd2fb528 || magic&^0xf == 0x184d2a50 }

// openGzip reads all members (RFC 1952, 2.2); only zeros may follow them.
func openGzip(r io.Reader, _ int64) (io.ReadCloser, error) {
	return io.NopCloser(inflate.NewReader(r)), nil
}

func openBzip2(r io.Reader, _ int64) (io.ReadCloser, error) {
	return io.NopCloser(bzip2.NewReader(r)), nil // reads all streams of the file, with 3.6 MB of memory
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

// damage makes the error of a compressed archive of what its decompressor returned.
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
