// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzEncoding: no body decodes to more than is allowed, and a blob's body is
// the same however it is read.
func FuzzEncoding(f *testing.F) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write([]byte("hello"))
	w.Close()
	f.Add("gzip", packed.Bytes(), int64(5))
	f.Add("deflate", []byte{0x78, 0x9c, 3, 0}, int64(0))
	f.Add("zstd", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0}, int64(0))
	f.Add("x-br", []byte("x"), int64(1))
	f.Fuzz(func(t *testing.T, name string, raw []byte, length int64) {
		const limit = 1 << 16
		if out, err := decode(strings.TrimPrefix(name, "x-"), raw, limit); err == nil && len(out) > limit {
			t.Errorf("decoded to %d bytes", len(out))
		}
		resp := &http.Response{
			Header: http.Header{"Content-Encoding": {name}}, ContentLength: length,
			Body: io.NopCloser(bytes.NewReader(raw)),
		}
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		body, decoded, err := plainBody(resp, desc)
		if err != nil {
			return
		}
		out, err := io.ReadAll(io.LimitReader(body, limit))
		if !decoded && (err != nil || !bytes.Equal(out, raw[:min(len(raw), limit)])) {
			t.Errorf("as sent: got %d bytes, %v, want %d", len(out), err, len(raw))
		}
	})
}
