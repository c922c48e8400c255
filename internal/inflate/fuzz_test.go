// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"bytes"
	"compress/gzip"
	"testing"
)

// FuzzReader compares with compress/gzip: the input as a gzip stream, then as
// deflate data inside a member whose trailer is right, so that checksums do not
// keep the fuzzer out. Longer runs:
//
//	go test -run '^$' -fuzz FuzzReader -fuzztime 2h ./internal/inflate
//	go test -run '^$' -fuzz FuzzReader -fuzztime 2h -tags purego ./internal/inflate
func FuzzReader(f *testing.F) {
	for _, s := range crafted(-1) {
		if len(s.raw) < 1000 {
			f.Add(member(s.raw), uint8(0))
			f.Add(s.raw, uint8(1))
		}
	}
	for level := gzip.HuffmanOnly; level <= gzip.BestCompression; level++ {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, level)
		w.Write(bytes.Repeat([]byte("some text, and again some text. \x00\x01\x02"), 20))
		w.Close()
		f.Add(b.Bytes(), uint8(level))
	}
	z, r := NewReader(nil), newResumer()
	f.Fuzz(func(t *testing.T, raw []byte, choice uint8) {
		// A larger one can be a bomb, which the fuzzer likes and which takes
		// minutes in single bytes.
		if len(raw) > 4<<10 {
			return
		}
		w := ways[int(choice)%len(ways)]
		differ(t, z, raw, w)
		packed := member(raw)
		differ(t, z, packed, w)
		// With padding the core decodes what else the exact decoder would.
		differ(t, z, append(packed, make([]byte, 64)...), ways[0])
		r.resume(t, packed, int64(choice)*100)
	})
}

// FuzzCheckpoint takes stored checkpoints from anybody.
func FuzzCheckpoint(f *testing.F) {
	c := Checkpoint{In: 20, Bit: 3, Out: 9, Size: 4, Window: []byte("abcd")}
	b, err := c.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, []byte("\x4b\x4c\x04\x00"))
	f.Fuzz(func(t *testing.T, b, rest []byte) {
		var c Checkpoint
		if c.UnmarshalBinary(b) != nil {
			return
		}
		again, err := c.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("got %x, %v, want %x", again, err, b)
		}
		z := NewReader(nil)
		if err := z.Resume(bytes.NewReader(rest), &c); err != nil {
			t.Fatal(err)
		}
		ways[0].take(z)
	})
}
