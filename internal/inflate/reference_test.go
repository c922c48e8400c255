// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"
)

// outcome is what decoding came to: the bytes, and the error after them.
type outcome struct {
	data []byte
	err  error
}

// reference decodes with compress/gzip, member by member, and says what a
// Reader must say. It reads a bytes.Reader, which compress/gzip reads a byte at
// a time and never past what it needs.
func reference(raw []byte) outcome {
	r := bytes.NewReader(raw)
	at := func() int64 { return int64(len(raw) - r.Len()) }
	var data []byte
	for first := true; ; first = false {
		start := at()
		if !first {
			if err := behind(raw[start:], start); err != nil {
				return outcome{data, err}
			}
		}
		z, err := gzip.NewReader(r)
		if err == nil {
			z.Multistream(false)
			start = at()
			var member []byte
			member, err = io.ReadAll(z)
			data = append(data, member...)
		}
		if err != nil {
			return outcome{data, classify(err, start, at(), int64(len(raw)))}
		}
	}
}

// behind is what comes of the bytes behind a member; nil for another member.
func behind(rest []byte, at int64) error {
	zeros := len(rest) - len(bytes.TrimLeft(rest, "\x00"))
	magic := []byte{0x1f, 0x8b, 8}
	switch {
	case zeros == len(rest):
		return io.EOF
	case zeros > 0:
		return &FormatError{ErrTrailing, at + int64(zeros)}
	case !bytes.HasPrefix(rest, magic[:min(len(rest), 3)]):
		return &FormatError{ErrTrailing, at}
	}
	return nil
}

// classify translates an error of compress/gzip. start is where the member
// began, or its compressed data when that was reached.
func classify(err error, start, at, size int64) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &corrupt):
		return &FormatError{errCorrupt, start + int64(corrupt)}
	case err == io.ErrUnexpectedEOF || err == io.EOF:
		return &FormatError{io.ErrUnexpectedEOF, size}
	case err == gzip.ErrHeader:
		return &FormatError{errHeader, start}
	case err == gzip.ErrChecksum:
		return &FormatError{errChecksum, at - 8}
	}
	return err
}

// A way is one way to take the output of a Reader.
type way struct {
	name   string
	source func([]byte) io.Reader
	take   func(*Reader) outcome
}

func whole(raw []byte) io.Reader { return bytes.NewReader(raw) }

func bytewise(raw []byte) io.Reader { return iotest.OneByteReader(bytes.NewReader(raw)) }

func eofWithData(raw []byte) io.Reader { return iotest.DataErrReader(bytes.NewReader(raw)) }

// full says whether tests that take long are run in full, as in CI.
func full() bool { return os.Getenv("LAYERCTL_FULL") == "1" }

// rounds is how often a test does what it does.
func rounds(inFull, short int) int {
	if full() {
		return inFull
	}
	return short
}

// ways are the ways every stream is decoded. The first ones are cheap.
var ways = []way{
	{"Next", whole, byNext(1)},
	{"Next from single bytes", bytewise, byNext(64 << 10)},
	{"Next with data and EOF at once", eofWithData, byNext(5000)},
	{"Read 1", whole, byRead(1)},
	{"Read 3", eofWithData, byRead(3)},
	{"Read 4099", bytewise, byRead(4099)},
	{"WriteTo", whole, byWriteTo},
}

func byNext(size int) func(*Reader) outcome {
	// Two buffers in turn, what was read from them spoilt.
	b := []*Buffer{NewBuffer(size), NewBuffer(size)}
	return func(z *Reader) (o outcome) {
		for i := 0; ; i ^= 1 {
			p, err := z.Next(b[i])
			o.data = append(o.data, p...)
			for j := range p {
				p[j] = 0xa5
			}
			if err != nil {
				o.err = err
				return o
			}
		}
	}
}

func byRead(size int) func(*Reader) outcome {
	return func(z *Reader) (o outcome) {
		p := make([]byte, size)
		for {
			n, err := z.Read(p)
			o.data = append(o.data, p[:n]...)
			if err != nil {
				o.err = err
				return o
			}
		}
	}
}

func byWriteTo(z *Reader) outcome {
	var b bytes.Buffer
	n, err := z.WriteTo(&b)
	if err == nil {
		err = io.EOF
	}
	if n != int64(b.Len()) {
		err = errors.New("WriteTo counts wrong")
	}
	return outcome{b.Bytes(), err}
}

// differ decodes raw in the given ways and compares with the reference.
func differ(t testing.TB, z *Reader, raw []byte, ways ...way) {
	t.Helper()
	want := reference(raw)
	for _, w := range ways {
		z.Reset(w.source(raw))
		got := w.take(z)
		if !bytes.Equal(got.data, want.data) {
			n := 0
			for n < min(len(got.data), len(want.data)) && got.data[n] == want.data[n] {
				n++
			}
			t.Fatalf("%s of %d bytes: got %d bytes (%v), want %d (%v), equal up to %d",
				w.name, len(raw), len(got.data), got.err, len(want.data), want.err, n)
		}
		if !sameError(got.err, want.err) {
			t.Fatalf("%s of %d bytes: got %v, want %v (%x)", w.name, len(raw), got.err, want.err, raw[:min(len(raw), 400)])
		}
		if again, err := z.Read(make([]byte, 1)); again != 0 || !sameError(err, want.err) {
			t.Fatalf("%s: got %d, %v after the error, want %v", w.name, again, err, want.err)
		}
	}
}

func sameError(got, want error) bool {
	var g, w *FormatError
	if errors.As(got, &g) && errors.As(want, &w) {
		return *g == *w
	}
	return got == want
}
