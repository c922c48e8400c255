// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/layer"
)

var testTime = time.Unix(1700000000, 123456789).UTC()

func TestCodec(t *testing.T) {
	entries := []layer.Entry{
		{Path: ".", Type: layer.Directory, Mode: 0o755, Implied: true, ModTime: time.Unix(0, 0).UTC()},
		{Path: "a/b", Type: layer.Regular, Mode: 0o4755, UID: 1 << 31, GID: 7, Size: 1 << 40, Sum: 0xdeadbeef, ModTime: testTime},
		{Path: "a/bc\xff", Type: layer.Symlink, Mode: 0o777, Linkname: "../x", ModTime: time.Unix(-5, 999999999).UTC()},
		{Path: "a/bc\xff", Type: layer.Removed, ModTime: testTime},
		{Path: "dev", Type: layer.BlockDevice, Major: 259, Minor: 1 << 19, ModTime: testTime},
		{Path: "d", Type: layer.Directory, Opaque: layer.Replaced, Xattrs: map[string]string{"user.a": "", "security.capability": "\x00\x01"}, ModTime: testTime},
	}
	raw := encode(t, entries)
	got, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", entries) {
		t.Errorf("got  %+v\nwant %+v", got, entries)
	}
	for n := range raw {
		if _, err := decode(raw[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut to %d of %d bytes: %v, want ErrDamaged", n, len(raw), err)
		}
	}
	if _, err := decode(append(bytes.Clone(raw), raw...)); !errors.Is(err, ErrDamaged) {
		t.Errorf("twice in a row: %v, want ErrDamaged", err)
	}
}

func encode(t testing.TB, entries []layer.Entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second file is written with what wrote the first
		buf.Reset()
		if err := w.Begin(&buf); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err := w.Add(&e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func decode(raw []byte) ([]layer.Entry, error) {
	r, err := newReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var list []layer.Entry
	for e, err := range r.All() {
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

func FuzzJournal(f *testing.F) {
	f.Add(encode(f, []layer.Entry{{Path: "a", Type: layer.Regular, ModTime: testTime, Xattrs: map[string]string{"user.x": "y"}}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := decode(raw)
		if err != nil {
			return
		}
		again, err := decode(encode(t, entries))
		if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", entries) {
			t.Errorf("%+v became %+v, error %v", entries, again, err)
		}
	})
}

// What a record costs: to be compared with what unpacking a path costs.
func BenchmarkRecord(b *testing.B) {
	w, err := NewWriter()
	if err == nil {
		err = w.Begin(io.Discard)
	}
	if err != nil {
		b.Fatal(err)
	}
	e := layer.Entry{Type: layer.Regular, Mode: 0o644, Size: 4096, Sum: 0xdeadbeef, ModTime: testTime}
	for i := 0; b.Loop(); i++ {
		e.Path = fmt.Sprintf("usr/lib/python3/dist-packages/package%d/module%d.py", i/50, i)
		e.Sum = uint32(i) * 2654435761
		if err := w.Add(&e); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		b.Fatal(err)
	}
}

// failingReader ends with an error instead of the end.
type failingReader struct {
	raw []byte
	err error
}

func (r *failingReader) Read(p []byte) (int, error) {
	if len(r.raw) == 0 {
		return 0, r.err
	}
	n := copy(p, r.raw[:1])
	r.raw = r.raw[n:]
	return n, nil
}

// A process that runs out of descriptors or memory has not found a damaged
// journal; a disk that does not give back what it was given has.
func TestShortageIsNoDamage(t *testing.T) {
	raw := encode(t, []layer.Entry{{Path: "a", Type: layer.Regular, ModTime: testTime}, {Path: "b", Type: layer.Directory, ModTime: testTime}})
	for _, c := range []struct {
		err     error
		damaged bool
	}{{unix.ENOMEM, false}, {unix.EMFILE, false}, {unix.ENFILE, false}, {unix.EINTR, false}, {unix.EIO, true}, {io.EOF, true}} {
		for n := range raw {
			r, err := newReader(&failingReader{raw[:n], c.err})
			if err == nil {
				for _, err = range r.All() {
				}
				r.Close()
			}
			if errors.Is(err, ErrDamaged) != c.damaged || c.err != io.EOF && !errors.Is(err, c.err) {
				t.Errorf("%v after %d of %d bytes: %v, want damage: %v", c.err, n, len(raw), err, c.damaged)
			}
		}
	}
}
