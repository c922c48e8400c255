// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// sample is a stream of many blocks, not to be changed.
var sample = sync.OnceValue(func() []byte {
	rng := rand.New(rand.NewPCG(3, 3))
	return member(randomDeflate(rng, 20, rounds(20_000, 8000)))
})

// TestMixedFaces takes some of the output by each face.
func TestMixedFaces(t *testing.T) {
	raw := sample()
	z, b := NewReader(bytes.NewReader(raw)), NewBuffer(1)
	var got []byte
	p := make([]byte, 777)
	for i := 0; ; i++ {
		var err error
		if i%2 == 0 {
			var n int
			n, err = z.Read(p)
			got = append(got, p[:n]...)
		} else {
			var q []byte
			q, err = z.Next(b)
			got = append(got, q...)
		}
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if want := reference(raw).data; !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
}

// TestNextFillsBuffers: a pipeline counts on full buffers but for the last.
func TestNextFillsBuffers(t *testing.T) {
	raw := member(new(crafter).stored(true, make([]byte, 60_000)).bytes())
	z, b := NewReader(bytes.NewReader(raw)), NewBuffer(10_000)
	for want := 60_000; want > 0; want -= 10_000 {
		p, err := z.Next(b)
		if err != nil || len(p) != 10_000 {
			t.Fatalf("%d bytes left: got %d bytes, %v", want, len(p), err)
		}
	}
}

func TestReadOfNothing(t *testing.T) {
	z := NewReader(bytes.NewReader([]byte("rubbish, and enough of it")))
	if n, err := z.Read(nil); n != 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	if w.left -= n; n < len(p) {
		return n, io.ErrClosedPipe
	}
	return n, nil
}

// TestWriteToStops: what a broken writer did not take is still there.
func TestWriteToStops(t *testing.T) {
	raw := sample()
	want := reference(raw).data
	z := NewReader(bytes.NewReader(raw))
	n, err := z.WriteTo(&failingWriter{left: 1000})
	if n != 1000 || !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("got %d, %v", n, err)
	}
	rest, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(rest, want[1000:]) {
		t.Errorf("got %d bytes, %v, want %d", len(rest), err, len(want)-1000)
	}
}

// TestReadAhead: the source is read to its end exactly when the stream is in
// order, and an ended source is not asked again.
func TestReadAhead(t *testing.T) {
	src := &countingReader{r: bytes.NewReader(sample())}
	z := NewReader(src)
	if src.reads != 0 {
		t.Error("NewReader reads")
	}
	if _, err := io.Copy(io.Discard, z); err != nil {
		t.Fatal(err)
	}
	if src.ends != 1 {
		t.Errorf("got %d reads at the end, want 1", src.ends)
	}
}

type countingReader struct {
	r           io.Reader
	reads, ends int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.reads++
	if err == io.EOF {
		c.ends++
	}
	return n, err
}

// TestResetAllocatesNothing: a Reader is made to be used again.
func TestResetAllocatesNothing(t *testing.T) {
	raw := member(new(crafter).dynamic(true, even(286), even(30)).text("hello").end().bytes())
	z, b, src := NewReader(nil), NewBuffer(1), bytes.NewReader(nil)
	got := testing.AllocsPerRun(100, func() {
		src.Reset(raw)
		z.Reset(src)
		for {
			if _, err := z.Next(b); err != nil {
				return
			}
		}
	})
	if got > 0 {
		t.Errorf("got %v allocations a stream, want 0", got)
	}
}
