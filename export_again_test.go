// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/internal/export"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/internal/stored"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// written applies the layers as they are written again from the store, and
// lists what they come to.
func (b *bench) written(diffIDs []digest.Digest) ([]string, error) {
	m := newModel()
	for _, diffID := range diffIDs {
		entries, err := b.writtenLayer(diffID)
		if err != nil {
			return nil, err
		}
		m.apply(entries)
	}
	return m.listing(), nil
}

func (b *bench) writtenLayer(diffID digest.Digest) (entries []imagetest.Entry, err error) {
	layer, err := stored.Layer(b.Context(), stackview.NewStack(stackview.Options{}), b.store, diffID)
	if err != nil {
		return nil, err
	}
	dir, err := b.store.OpenLayer(diffID)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	var out bytes.Buffer
	if err := export.WriteLayer(b.Context(), archive.NewTreeWriter(&out, archive.TreeOptions{}), layer, stored.Files{LayerDir: dir}); err != nil {
		return nil, err
	}
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		h.Name = strings.TrimPrefix(h.Name, "./")
		if h.Name == "" {
			h.Name = "."
		}
		for key := range h.PAXRecords {
			if !strings.HasPrefix(key, "SCHILY.xattr.") {
				delete(h.PAXRecords, key)
			}
		}
		entries = append(entries, imagetest.Entry{Header: *h, Body: string(body)})
	}
}

func TestExportFromTheStore(t *testing.T) {
	for _, format := range []ExportFormat{OCIArchive, DockerArchive} {
		t.Run(string(format), func(t *testing.T) {
			s := changed(t)
			want, _ := s.pull(t, s.ref)
			archive, done := s.exported(t, s.offline(), s.ref, ExportOptions{Format: format, Name: "again", Store: s.store})
			if len(done.Warnings) != 1 || !strings.Contains(done.Warnings[0], "2 of 2 layers were compressed again") {
				t.Errorf("warnings %q", done.Warnings)
			}
			again, _ := s.exported(t, s.client, s.ref, ExportOptions{Format: format, Name: "again", Store: s.store})
			if !bytes.Equal(readFile(t, name(again)), readFile(t, name(archive))) {
				t.Error("the second archive is not the first")
			}
			if asked := s.Requests(); len(asked) != 0 {
				t.Errorf("asked %q, want nothing", asked)
			}
			into := newCached(t, Options{})
			got, _ := into.pull(t, archive)
			if got.Image.Config == want.Image.Config || len(got.Image.Layers) != 2 {
				t.Errorf("config %s and %d layers, want another config and two layers", got.Image.Config, len(got.Image.Layers))
			}
			if got, want := into.flat(t, archive), s.flat(t, s.ref); !bytes.Equal(got, want) {
				t.Error("the image shows something else")
			}
			left, err := filepath.Glob(filepath.Join(s.store.Path(), ".tmp-*"))
			if err != nil || len(left) != 0 {
				t.Errorf("left %q, %v", left, err)
			}
		})
	}
}

// A store of tars has the layers' own bytes: the config stays, and so does the
// image's id.
func TestExportFromTars(t *testing.T) {
	layertest.NeedsRoot(t, "it makes a store of tars")
	s := newCachedIn(t, Options{}, overlaystore.Options{Lower: layer.Tars})
	s.ref = s.add(s.layout.Image(linuxARMv7,
		imagetest.Tar(imagetest.File("z", "z"), imagetest.Dir("d", 0o700), imagetest.File("d/f", "f"), imagetest.Hardlink("a", "z")),
		imagetest.Tar(imagetest.File("b", "b"), imagetest.File("d/.wh.f", ""), imagetest.Hardlink("c", "a"))))
	want, _ := s.pull(t, s.ref)
	archive, done := s.exported(t, s.offline(), s.ref, ExportOptions{Format: OCIArchive, Name: "again", Store: s.store})
	if len(done.Warnings) != 1 {
		t.Errorf("warnings %q", done.Warnings)
	}
	into := newCached(t, Options{})
	got, _ := into.pull(t, archive)
	if got.Image.Config != want.Image.Config || !slices.Equal(got.Image.Layers, want.Image.Layers) {
		t.Errorf("config %s and layers %s, want %s and %s", got.Image.Config, got.Image.Layers, want.Image.Config, want.Image.Layers)
	}
	file := filepath.Join(s.store.Path(), "layers", want.Image.Layers[1].Encoded(), "layer.erofs")
	raw := readFile(t, file)
	raw[4096+2] ^= 1
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.offline().Export(t.Context(), s.ref, io.Discard, ExportOptions{Format: OCIArchive, Name: "again", Store: s.store})
	if !errors.Is(err, overlaystore.ErrDamaged) {
		t.Errorf("a tar that has changed: %v, want ErrDamaged", err)
	}
}

// changed is a cached image whose layers' tars nobody would write again as
// they are: their entries stand in no order.
func changed(t *testing.T) *cached {
	t.Helper()
	s := newCached(t, Options{})
	s.ref = s.add(s.layout.Image(linuxARMv7,
		imagetest.Tar(imagetest.File("z", "z"), imagetest.Dir("d", 0o700), imagetest.File("d/f", "f"), imagetest.Hardlink("a", "z")),
		imagetest.Tar(imagetest.File("b", "b"), imagetest.File("d/.wh.f", ""), imagetest.Hardlink("c", "a"))))
	return s
}

func name(archive string) string {
	_, name, _ := strings.Cut(archive, ":")
	return name
}

// flat is the flat tar of an image that was pulled.
func (s *cached) flat(t *testing.T, ref string) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := s.client.Export(t.Context(), ref, &out, ExportOptions{Format: Tar, Store: s.store}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Blobs that are there are taken as they are, beside those that are not.
func TestExportFromCacheAndStore(t *testing.T) {
	s := newCached(t, Options{KeepBlobs: true})
	pulled, _ := s.pull(t, s.ref)
	whole, done := s.exported(t, s.offline(), s.ref, ExportOptions{Store: s.store})
	if len(done.Warnings) != 0 {
		t.Errorf("warnings %q where all blobs were kept", done.Warnings)
	}
	record, err := s.store.Layer(pulled.Image.Layers[0])
	if err != nil {
		t.Fatal(err)
	}
	gone := record.Blobs[0]
	if err := s.kept.Remove(t.Context(), ocispec.Descriptor{Digest: gone.Digest, Size: gone.Size}); err != nil {
		t.Fatal(err)
	}
	archive, done := s.exported(t, s.offline(), s.ref, ExportOptions{Store: s.store})
	if len(done.Warnings) != 1 || !strings.Contains(done.Warnings[0], "1 of 2 layers") {
		t.Errorf("warnings %q", done.Warnings)
	}
	into := newCached(t, Options{})
	was, _ := into.pull(t, whole)
	is, _ := into.pull(t, archive)
	// The tar of these layers is so plain that it is written as it was.
	if is.Image.Manifest == was.Image.Manifest || is.Image.Config != was.Image.Config {
		t.Errorf("manifest %s, config %s, want another manifest over %s", is.Image.Manifest, is.Image.Config, was.Image.Config)
	}
	raw := readFile(t, name(archive))
	for n, diffID := range is.Image.Layers {
		record, err := s.store.Layer(diffID)
		if err != nil {
			t.Fatal(err)
		}
		if kept := bytes.Contains(raw, []byte(record.Blobs[0].Digest.Encoded())); kept != (n > 0) {
			t.Errorf("layer %d: its blob is in the archive: %v", n+1, kept)
		}
	}
}

func TestExportFromADamagedStore(t *testing.T) {
	s := newCached(t, Options{})
	pulled, _ := s.pull(t, s.ref)
	file := filepath.Join(s.store.Path(), "layers", pulled.Image.Layers[1].Encoded(), "fs", "all")
	if err := os.WriteFile(file, []byte("SAME"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := s.offline().Export(t.Context(), s.ref, io.Discard, ExportOptions{Store: s.store})
	if !errors.Is(err, overlaystore.ErrDamaged) {
		t.Errorf("got %v, want %v", err, overlaystore.ErrDamaged)
	}
}
