// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/inflate"
	"github.com/opencontainers/go-digest"
)

// tarOf is a tar of many pieces that does not compress.
func tarOf() []byte {
	b := make([]byte, 12*pieceSize)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return imagetest.Tar(imagetest.File("noise", string(b)), imagetest.File("zeros", string(make([]byte, 4*pieceSize))))
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	w, _ := zstd.NewWriter(nil)
	return w
})

func zstdOf(b []byte) []byte { return encoder().EncodeAll(b, nil) }

func TestStreamsGiveTheTarThatIsInThem(t *testing.T) {
	tar := tarOf()
	for name, blob := range map[string][]byte{"gzip": imagetest.Gzip(tar), "zstd": zstdOf(tar), "": tar} {
		for _, serial := range []bool{true, false} {
			s, err := Open(t.Context(), iotest.DataErrReader(bytes.NewReader(blob)), Options{Serial: serial})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := io.ReadAll(s)
			if err = s.Close(err, false); err != nil || !bytes.Equal(got, tar) {
				t.Errorf("%q, serial %v: %d bytes, %v, want the %d of the tar", name, serial, len(got), err, len(tar))
			}
			if s.Compression() != name || s.Size() != int64(len(tar)) || s.BlobSize() != int64(len(blob)) || s.Digest() != digest.FromBytes(tar) || s.Mistyped() {
				t.Errorf("%q, serial %v: %q of %d bytes in %d, %s", name, serial, s.Compression(), s.Size(), s.BlobSize(), s.Digest())
			}
		}
	}
}

// However a stream ends, all memory that it took comes back: each piece had one
// owner, who released it once.
func TestEachBufferComesBack(t *testing.T) {
	tar := tarOf()
	blob := imagetest.Gzip(tar)
	broken := errors.New("broken")
	damaged := bytes.Clone(blob)
	damaged[len(blob)/2] ^= 0x40
	whole := func() io.Reader { return bytes.NewReader(blob) }
	for _, c := range []struct {
		name string
		blob func() io.Reader
		read int64 // of the tar; then the reader of the tar gives up
		over bool  // pieces are handed over
	}{
		{"read to the end", whole, 1 << 30, false},
		{"handed over", whole, 1 << 30, true},
		{"given up at once", whole, 0, false},
		{"given up on the way", whole, 5*pieceSize + 7, false},
		{"damaged", func() io.Reader { return bytes.NewReader(damaged) }, 1 << 30, true},
		{"broken", func() io.Reader { return io.MultiReader(bytes.NewReader(blob[:len(blob)/2]), iotest.ErrReader(broken)) }, 1 << 30, false},
	} {
		for _, serial := range []bool{true, false} {
			used := NewBuffers()
			for range pieceCount {
				used.pieces.Keep(inflate.NewBuffer(pieceSize))
			}
			for range partCount {
				used.parts.Keep(make([]byte, partSize))
			}
			s, err := Open(t.Context(), c.blob(), Options{Serial: serial, Buffers: used})
			if err != nil {
				t.Fatal(err)
			}
			var later []*Piece
			if c.over {
				s.HandOver(func(p *Piece) error {
					if later = append(later, p); len(later) > 2 || serial {
						later[0].Release()
						later = later[1:]
					}
					return nil
				})
			}
			_, err = io.CopyN(io.Discard, s, c.read)
			for _, p := range later {
				p.Release()
			}
			_ = s.Close(err, false)
			if got := len(used.pieces); got != pieceCount {
				t.Errorf("%s, serial %v: %d pieces came back, want %d", c.name, serial, got, pieceCount)
			}
			if got := len(used.parts); got != partCount {
				t.Errorf("%s, serial %v: %d parts of the blob came back, want %d", c.name, serial, got, partCount)
			}
		}
	}
}

// A tar that is shorter than a piece takes memory for itself and for its end.
func TestShortTarTakesLittle(t *testing.T) {
	used := NewBuffers()
	s, err := Open(t.Context(), bytes.NewReader(imagetest.Gzip(imagetest.Tar(imagetest.File("a", "a")))), Options{Buffers: used})
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, s)
	if err := s.Close(err, false); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if pieces, parts := len(used.pieces), len(used.parts); pieces > 2 || parts > 2 {
		t.Errorf("it took %d pieces and %d parts of the blob", pieces, parts)
	}
}

func TestFaultsOfTheData(t *testing.T) {
	tar := tarOf()
	blob := imagetest.Gzip(tar)
	wrong := errors.New("wrong digest")
	for _, c := range []struct {
		name string
		blob []byte
		typ  string
		says string
	}{
		{"cut short", blob[:len(blob)/2], "", cutShort},
		{"neither", []byte("neither"), "", "neither a tar nor gzip nor zstd"},
		{"no layer's type", blob, "text/plain", "media type"},
	} {
		for _, end := range []error{nil, wrong} {
			var in io.Reader = bytes.NewReader(c.blob)
			if end != nil {
				in = io.MultiReader(in, iotest.ErrReader(end))
			}
			s, err := Open(t.Context(), in, Options{MediaType: c.typ})
			if err == nil {
				_, err = io.Copy(io.Discard, s)
				err = s.Close(err, true)
			}
			var format *FormatError
			if end == nil && (!errors.As(err, &format) || !bytes.Contains([]byte(err.Error()), []byte(c.says))) {
				t.Errorf("%s: error = %v, want a FormatError that says %q", c.name, err, c.says)
			}
			if end != nil && !errors.Is(err, wrong) {
				t.Errorf("%s: error = %v, want that of the blob's reader", c.name, err)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	tar := tarOf()
	s, err := Open(t.Context(), bytes.NewReader(imagetest.Gzip(tar)), Options{MaxSize: 2 * pieceSize})
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, s)
	var limit *LimitError
	if err = s.Close(err, false); !errors.As(err, &limit) || limit.Limit != "bytes" || n > 2*pieceSize {
		t.Errorf("%d bytes, error = %v, want a limit of bytes", n, err)
	}
}

// FuzzStream reads any blob, in stages and one after the other: both must say
// the same.
func FuzzStream(f *testing.F) {
	tar := imagetest.Tar(imagetest.File("a", "content"))
	f.Add(imagetest.Gzip(tar))
	f.Add(append(imagetest.Gzip(tar[:512]), imagetest.Gzip(tar[512:])...))
	f.Add(append(imagetest.Gzip(tar), make([]byte, 100)...))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00\x99\xe9\xd8\x51"))
	f.Add([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc"))
	f.Add(zstdOf(tar))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		if serial, stages := outcome(t, b, true), outcome(t, b, false); serial != stages {
			t.Errorf("in stages: %+v, one after the other: %+v", stages, serial)
		}
	})
}

type result struct {
	digest     digest.Digest
	size, blob int64
	err        string
}

func outcome(t *testing.T, b []byte, serial bool) (r result) {
	t.Helper()
	in := bytes.NewReader(b)
	s, err := Open(t.Context(), in, Options{Serial: serial, MaxSize: 32 << 20, Windows: NewWindows(8 << 20)})
	if err == nil {
		_, err = io.Copy(io.Discard, s)
		if err == nil && in.Len() != 0 {
			t.Errorf("%d bytes of the blob were not read", in.Len())
		}
		r.digest, r.size, r.blob = s.Digest(), s.Size(), s.BlobSize()
		err = s.Close(err, true)
	}
	if err != nil {
		return result{err: err.Error()} // how far it had come is not told alike
	}
	return r
}
