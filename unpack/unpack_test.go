// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func unpackInto(t *testing.T, dir string, blob []byte, want unpack.Source, o unpack.Options) (unpack.Result, error) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if os.Geteuid() != 0 {
		o.IDs, o.Xattrs = layer.SquashedIDs, layer.UserXattrs
	}
	return unpack.Layer(t.Context(), f, bytes.NewReader(blob), want, o)
}

func TestLayerOfEveryType(t *testing.T) {
	tar := imagetest.Tar(
		imagetest.Dir("etc/", 0o750),
		imagetest.File("etc/passwd", "root\n"),
		imagetest.Hardlink("etc/passwd-", "etc/passwd"),
		imagetest.Symlink("lib", "usr/lib"),
		imagetest.File("lib/libc.so", "through the symlink\n"),
	)
	dir := t.TempDir()
	var journal []layer.Entry
	r, err := unpackInto(t, dir, imagetest.Gzip(tar), unpack.Source{MediaType: ocispec.MediaTypeImageLayerGzip},
		unpack.Options{Record: func(e layer.Entry) error { journal = append(journal, e); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "usr/lib/libc.so"))
	if want := "through the symlink\n"; string(got) != want || err != nil {
		t.Errorf("usr/lib/libc.so = %q, %v, want %q", got, err, want)
	}
	if got, want := r.Size, int64(len(tar)); got != want {
		t.Errorf("Size = %d, want %d", got, want)
	}
	if got, want := journal[len(journal)-1].Path, "usr/lib/libc.so"; got != want {
		t.Errorf("last entry is %s, want %s", got, want)
	}
}

func TestLayerWithAnotherDiffID(t *testing.T) {
	tar := imagetest.Tar(imagetest.File("a", "b"))
	want := unpack.Source{DiffID: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
	_, err := unpackInto(t, t.TempDir(), imagetest.Gzip(tar), want, unpack.Options{})
	if !errors.Is(err, unpack.ErrMismatch) {
		t.Errorf("error = %v, want ErrMismatch", err)
	}
}

// journalOf is what Record was told, the last word on each path.
func journalOf(t *testing.T, dir string, blob []byte, o unpack.Options) (map[string]layer.Entry, unpack.Result, error) {
	t.Helper()
	journal := make(map[string]layer.Entry)
	o.Record = func(e layer.Entry) error {
		journal[e.Path] = e
		return nil
	}
	r, err := unpackInto(t, dir, blob, unpack.Source{}, o)
	return journal, r, err
}
