// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
	"github.com/opencontainers/go-digest"
)

// unpacked is what became of a layer on a disk.
type unpacked struct {
	journal journal
	result  unpack.Result
	err     error
}

// checkRead reads the layer that was unpacked into a store of root with these
// options, and compares what each says of it.
func checkRead(t *testing.T, blob []byte, mediaType string, o unpack.Options, want unpacked) {
	t.Helper()
	j := make(journal)
	r, err := unpack.Read(t.Context(), bytes.NewReader(blob), unpack.Source{MediaType: mediaType}, unpack.ReadOptions{
		Strict: o.Strict, Limits: o.Limits, Record: j.record,
	})
	overLimit := errors.Is(err, unpack.ErrLimit) && errors.Is(want.err, unpack.ErrLimit) // maybe at another entry
	if fmt.Sprint(err) != fmt.Sprint(want.err) && !overLimit {
		t.Fatalf("read: error = %v, unpack said %v", err, want.err)
	}
	if err != nil {
		return
	}
	if !reflect.DeepEqual(r, want.result) {
		t.Errorf("read: result =\n%+v\nunpack said\n%+v", r, want.result)
	}
	equal(t, "journal of reading", j.list(), want.journal.list())
}

// list is a line for each path, with the first name of the same file.
func (j journal) list() string {
	var b strings.Builder
	first := make(map[*layer.Entry]string)
	for _, path := range slices.Sorted(maps.Keys(j)) {
		e := j[path]
		if first[e] == "" {
			first[e] = path
		}
		fmt.Fprintf(&b, "%q as %q implied %v opaque %q: %s\n", path, first[e], e.Implied, e.Opaque, summary(*e, unpack.Options{}))
	}
	return b.String()
}

func TestReadContent(t *testing.T) {
	blob := Gzip(Tar(
		File("a", "first"), File("b", "not asked for"), File("a", "second"),
		Symlink("link", "dir"), Dir("dir/", 0o755), File("link/f", strings.Repeat("long ", 1<<20)), Hardlink("h", "b"),
	))
	got := make(map[string]string)
	buffers := make(map[string]*bytes.Buffer)
	_, err := unpack.Read(t.Context(), bytes.NewReader(blob), unpack.Source{}, unpack.ReadOptions{
		Content: func(e layer.Entry) (io.Writer, error) {
			got[e.Path] = fmt.Sprintf("%c %d %o", e.Type, e.Size, e.Mode)
			if e.Path == "b" {
				return nil, nil
			}
			buffers[e.Path] = new(bytes.Buffer)
			return buffers[e.Path], nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": "f 6 644", "b": "f 13 644", "dir/f": fmt.Sprintf("f %d 644", 5<<20)}
	if !maps.Equal(got, want) {
		t.Errorf("asked about %v, want %v", got, want)
	}
	equal(t, "content of a", buffers["a"].String(), "second")
	if buffers["dir/f"].String() != strings.Repeat("long ", 1<<20) {
		t.Error("content of dir/f is not that of the tar")
	}
}

func TestReadEndsByItsCallers(t *testing.T) {
	full := errors.New("no more")
	blob := Gzip(Tar(File("a", "content")))
	for name, o := range map[string]unpack.ReadOptions{
		"Record":       {Record: func(layer.Entry) error { return full }},
		"Content":      {Content: func(layer.Entry) (io.Writer, error) { return nil, full }},
		"the writer":   {Content: func(layer.Entry) (io.Writer, error) { return failing{full}, nil }},
		"serial write": {Serial: true, Content: func(layer.Entry) (io.Writer, error) { return failing{full}, nil }},
	} {
		if _, err := unpack.Read(t.Context(), bytes.NewReader(blob), unpack.Source{}, o); !errors.Is(err, full) {
			t.Errorf("%s: error = %v, want its own", name, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// What is kept of each path is accounted for.
func TestReadKeepsWithinRecorded(t *testing.T) {
	var many entries
	for i := range 1000 {
		many = append(many, File(fmt.Sprintf("directory/file %d", i), ""))
	}
	blob := Gzip(Tar(many...))
	for recorded, want := range map[int64]error{0: nil, 1 << 20: nil, 10 << 10: unpack.ErrLimit} {
		_, err := unpack.Read(t.Context(), bytes.NewReader(blob), unpack.Source{}, unpack.ReadOptions{Limits: unpack.Limits{Recorded: recorded}})
		if !errors.Is(err, want) {
			t.Errorf("of %d bytes: error = %v, want %v", recorded, err, want)
		}
	}
}

// BenchmarkRead tells what is kept of a path, too.
func BenchmarkRead(b *testing.B) {
	const files = 100_000
	var tar strings.Builder
	if err := writeMany(&tar, files, ""); err != nil {
		b.Fatal(err)
	}
	blob := []byte(tar.String())
	b.SetBytes(int64(len(blob)))
	for b.Loop() {
		if _, err := unpack.Read(b.Context(), bytes.NewReader(blob), unpack.Source{}, unpack.ReadOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/path")
}

func TestReadVerifies(t *testing.T) {
	tar := Tar(File("a", "content"))
	_, err := unpack.Read(t.Context(), bytes.NewReader(Gzip(tar)), unpack.Source{DiffID: digest.FromString("another")}, unpack.ReadOptions{})
	if !errors.Is(err, unpack.ErrMismatch) {
		t.Errorf("error = %v, want ErrMismatch", err)
	}
}
