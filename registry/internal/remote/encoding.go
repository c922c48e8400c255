// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry/internal/failure"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// No request asks for a Content-Encoding. An answer that has one comes from a file
// server, which has guessed it from the blob's own compression and sends the blob as
// it is; or from a proxy, which has encoded the blob. For a document the digest tells
// which. A blob is passed on before its digest is known: its length and first bytes
// tell.

// maxWindow bounds the window of a zstd decoder, in bytes.
const maxWindow = 8 << 20

// encoding returns the Content-Encoding of an answer in lower case, without "x-"; ""
// means that the body is as it was asked for.
func encoding(resp *http.Response) string {
	e := strings.ToLower(strings.TrimSpace(strings.Join(resp.Header.Values("Content-Encoding"), ",")))
	if e == "identity" || e == "aws-chunked" {
		return ""
	}
	return strings.TrimPrefix(e, "x-")
}

// decoder returns a reader of what body has encoded.
func decoder(encoding string, body io.Reader) (io.Reader, error) {
	d, err := rawDecoder(encoding, body)
	if err != nil {
		return nil, fmt.Errorf("Content-Encoding %s, which was not asked for: %w", failure.OneLine(encoding), err) //nolint:staticcheck // a header's name
	}
	return d, nil
}

func rawDecoder(encoding string, body io.Reader) (io.Reader, error) {
	switch encoding {
	case "gzip":
		return gzip.NewReader(body)
	case "deflate": // zlib by RFC 9110, 8.4.1.2, but some servers send bare deflate
		b := bufio.NewReader(body)
		if first, err := b.Peek(1); err == nil && first[0]&0x0f == 8 {
			return zlib.NewReader(b)
		}
		return flate.NewReader(b), nil
	case "zstd":
		d, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, errors.New("not known")
}

// decode returns a whole document that was encoded. More than limit bytes are an
// error.
func decode(encoding string, raw []byte, limit int64) ([]byte, error) {
	d, err := decoder(encoding, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if c, ok := d.(io.Closer); ok {
		defer c.Close()
	}
	out, err := io.ReadAll(io.LimitReader(d, limit+1))
	if err == nil && int64(len(out)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return out, err
}

// plainBody returns the body of a blob without the encoding that a proxy has put
// around it. decoded says that there was one.
func plainBody(resp *http.Response, desc ocispec.Descriptor) (body io.ReadCloser, decoded bool, err error) {
	e := encoding(resp)
	if e == "" || resp.ContentLength == desc.Size {
		return resp.Body, false, nil
	}
	b := bufio.NewReaderSize(resp.Body, 64<<10)
	if resp.ContentLength < 0 && asSent(e, b, desc) {
		return bodyOf(b, resp.Body), false, nil
	}
	d, err := decoder(e, b)
	if err != nil {
		return nil, false, err
	}
	return bodyOf(d, resp.Body), true, nil
}

// asSent reports whether the body is the blob itself, not an encoding of it, by the
// first bytes and the compression that the blob's media type names.
func asSent(encoding string, b *bufio.Reader, desc ocispec.Descriptor) bool {
	first, _ := b.Peek(32 << 10)
	if !compressedBy(encoding, first) {
		return true
	}
	kind, err := manifest.CompressionOf(desc.MediaType)
	if err != nil || kind.String() != encoding {
		return false // the blob itself is not compressed in this way
	}
	d, err := decoder(encoding, bytes.NewReader(first))
	if err != nil {
		return true
	}
	inner := make([]byte, 4)
	n, _ := io.ReadFull(d, inner)
	return !compressedBy(encoding, inner[:n]) // compressed twice: once by the proxy
}

// compressedBy reports whether first begins with the magic number of the encoding.
// It is true for deflate, which has none.
func compressedBy(encoding string, first []byte) bool {
	switch encoding {
	case "gzip":
		return bytes.HasPrefix(first, []byte{0x1f, 0x8b})
	case "zstd":
		return bytes.HasPrefix(first, []byte{0x28, 0xb5, 0x2f, 0xfd})
	}
	return true
}

func bodyOf(r io.Reader, c io.Closer) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{r, c}
}
