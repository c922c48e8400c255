// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/layerctl/layerctl/internal/tarsize"
)

func TestGzip(t *testing.T) {
	member := func(n int) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write(make([]byte, n))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	isize := func(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
	tail := func(b []byte) []byte { return b[len(b)-tarsize.GzipTail:] }
	one, several := member(10240), append(member(10240), member(0)...)
	for _, c := range []struct {
		name string
		tail []byte
		blob int64
		want int64 // 0 is none
	}{
		{"one member", tail(one), int64(len(one)), 10240},
		{"as eStargz ends", tail(several), int64(len(several)), 0},
		{"no tar", isize(1000), 500, 0},
		{"too little for a tar", isize(512), 100, 0},
		{"the last of several members", isize(1 << 20), 50 << 20, 0},
		{"not compressible", isize(100 << 20), 100<<20 + 40000, 100 << 20},
		{"perhaps past 4 GiB", isize(1 << 30), 800 << 20, 0},
		{"hardly past 4 GiB", isize(1 << 30), 200 << 20, 1 << 30},
		{"cut", isize(10240)[:3], 500, 0},
		{"no blob", isize(0), 0, 0},
	} {
		size, ok := tarsize.Gzip(c.tail, c.blob)
		if ok != (c.want != 0) || ok && size != c.want {
			t.Errorf("%s: %d, %v; want %d", c.name, size, ok, c.want)
		}
	}
}

func TestZstd(t *testing.T) {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	one := w.EncodeAll(make([]byte, 10240), nil)
	var stream bytes.Buffer
	s, err := zstd.NewWriter(&stream)
	if err != nil {
		t.Fatal(err)
	}
	// Not at once, so that the encoder does not know the size.
	for range 2 {
		if _, err := s.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		head []byte
		blob int64
		want int64
	}{
		{"one frame", one, int64(len(one)), 10240},
		{"the first of many", one, 50000, 0},
		{"unsaid", stream.Bytes(), int64(stream.Len()), 0},
		{"a skippable frame", []byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}, 100, 0},
		{"no zstd", []byte("hello, hello, hello"), 100, 0},
		{"nothing", nil, 0, 0},
	} {
		size, ok := tarsize.Zstd(c.head[:min(len(c.head), tarsize.ZstdHead)], c.blob)
		if ok != (c.want != 0) || ok && size != c.want {
			t.Errorf("%s: %d, %v; want %d", c.name, size, ok, c.want)
		}
	}
}

func FuzzZstd(f *testing.F) {
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x60, 0, 0x27, 0, 0}, int64(100))
	f.Fuzz(func(t *testing.T, head []byte, blob int64) {
		if size, ok := tarsize.Zstd(head, max(blob, 0)); ok && (size < 1024 || size%512 != 0) {
			t.Errorf("%d is the size of no tar", size)
		}
	})
}
