// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/layerctl/layerctl/internal/inflate"
	"github.com/layerctl/layerctl/internal/layertar"
)

// compression is one way in which a blob holds its tar.
type compression struct {
	name string
	open func(opening) (decompressor, error)
}

// opening is what a decompressor is made of.
type opening struct {
	ctx     context.Context //nolint:containedctx // of the call that opens
	in      *bufio.Reader
	blob    *blobReader // below in
	windows *Windows
	buffers *Buffers
}

// decompressor gives the tar out in pieces. Next decodes into the buffer and
// returns either data or an error; the data stays until the buffer is used
// again.
type decompressor interface {
	Next(*inflate.Buffer) ([]byte, error)
	// pause has Next return at the first place that can be gone on from.
	pause()
	// place is where the blob's next byte for that is, with the state of gzip. It
	// is false at a place that cannot.
	place() (in int64, state []byte, ok bool)
	close()
}

// plainReader makes a decompressor of a reader.
type plainReader struct {
	io.Reader
	opening
	err   error
	short bool // the next piece ends when there is something in it
}

func (r *plainReader) close() {}

func (r *plainReader) pause() { r.short = true }

func (r *plainReader) place() (in int64, state []byte, ok bool) {
	return offsetOf(r.blob, r.in), nil, r.err == nil
}

func (r *plainReader) Next(b *inflate.Buffer) ([]byte, error) {
	mem, n := b.Bytes(), 0
	for n < len(mem) && r.err == nil {
		var m int
		m, r.err = r.Read(mem[n:])
		if n += m; n > 0 && r.short {
			break
		}
	}
	r.short = false
	if n == 0 {
		return nil, r.err
	}
	return mem[:n], nil
}

var (
	uncompressed = compression{"", func(o opening) (decompressor, error) { return &plainReader{Reader: o.in, opening: o}, nil }}
	gzipped      = compression{"gzip", openGzip}
	zstded       = compression{"zstd", openZstd}
)

// chooseCompression goes by the media type. Where the bytes say otherwise they
// win: old registries have such layers.
func chooseCompression(mediaType string, r *bufio.Reader) (c compression, mistyped bool, err error) {
	said, known := byMediaType(mediaType)
	if !known && mediaType != "" {
		return c, false, &FormatError{Offset: -1, Reason: fmt.Sprintf("media type %.120q is no layer's", mediaType)}
	}
	magic, err := r.Peek(512)
	if err != nil && err != io.EOF {
		return c, false, err
	}
	if len(magic) == 0 {
		if said.name != "" {
			return c, false, &FormatError{Offset: 0, Reason: "an empty blob is no " + said.name + " stream"}
		}
		return uncompressed, false, nil // the tar of no bytes, as old builders made for empty layers
	}
	c, err = byMagic(magic)
	return c, known && c.name != said.name, err
}

// byMediaType knows those of OCI and of Docker, the non-distributable ones
// too: application/vnd.oci.image.layer.v1.tar+gzip,
// application/vnd.docker.image.rootfs.diff.tar.gzip.
func byMediaType(mediaType string) (c compression, known bool) {
	switch {
	case strings.HasSuffix(mediaType, ".tar+gzip"), strings.HasSuffix(mediaType, ".tar.gzip"):
		return gzipped, true
	case strings.HasSuffix(mediaType, ".tar+zstd"), strings.HasSuffix(mediaType, ".tar.zstd"):
		return zstded, true
	case strings.HasSuffix(mediaType, ".tar"):
		return uncompressed, true
	}
	return compression{}, false
}

// byMagic goes by the first bytes. A tar has no magic number at its start,
// but a checksum of its first header.
func byMagic(b []byte) (compression, error) {
	switch {
	case layertar.Begins(b):
		return uncompressed, nil
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b}):
		return gzipped, nil
	case len(b) >= 4 && isZstd(binary.LittleEndian.Uint32(b)):
		return zstded, nil
	case bytes.HasPrefix(b, []byte("BZh")):
		return compression{}, &FormatError{Offset: 0, Reason: "bzip2 is no compression of layers"}
	case bytes.HasPrefix(b, []byte("\xfd7zXZ\x00")):
		return compression{}, &FormatError{Offset: 0, Reason: "xz is no compression of layers"}
	}
	return compression{}, &FormatError{Offset: 0, Reason: fmt.Sprintf("neither a tar nor gzip nor zstd: it begins with % x", b[:min(8, len(b))])}
}

// isZstd knows a frame and the 16 skippable frames of RFC 8878.
func isZstd(magic uint32) bool { return magic == 0xfd2fb528 || magic&^0xf == 0x184d2a50 }
