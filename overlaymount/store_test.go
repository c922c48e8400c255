// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

func TestMain(m *testing.M) { os.Exit(disktest.Apart(m.Run)) }

type file = layertest.File

var (
	regular  = layertest.Regular
	dir      = layertest.Dir
	whiteout = layertest.Whiteout
	layerID  = layertest.DiffID

	needsMount   = layertest.NeedsMount
	needsRoot    = layertest.NeedsRoot
	unmountLater = layertest.UnmountLater
	memoryDir    = layertest.MemoryDir
)

// openStore opens a fresh store in a temporary directory.
func openStore(t testing.TB) *overlaystore.Store {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "store"))
}

func reopen(t testing.TB, dir string) *overlaystore.Store {
	t.Helper()
	s, err := overlaystore.Open(t.Context(), dir, overlaystore.Options{})
	if errors.Is(err, overlaystore.ErrUnsupported) {
		t.Skipf("needs a temporary directory on a filesystem that can hold a store: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// addLayer stages and commits a layer.
func addLayer(t testing.TB, s *overlaystore.Store, name string, files ...file) digest.Digest {
	t.Helper()
	g := stage(t, s, layerID(name), layer.Facts{}, files...)
	if err := s.Commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	return g.DiffID()
}

// stage fills and seals a layer.
func stage(t testing.TB, s *overlaystore.Store, diffID digest.Digest, facts layer.Facts, files ...file) *overlaystore.Staging {
	t.Helper()
	g, err := s.Stage(t.Context(), diffID)
	if err != nil {
		t.Fatal(err)
	}
	if err := layertest.Fill(g, s.Format().Form, files...); err != nil {
		t.Fatal(err)
	}
	if err := g.Seal(t.Context(), overlaystore.LayerRecord{Facts: layertest.Facts(facts, files)}); err != nil {
		t.Fatal(err)
	}
	return g
}

// putImage puts an image of the layers, the lowest first, and tags it. No test of
// another package has the same image: what is mounted here would keep it there,
// for a mount by relative names does not say whose it is.
func putImage(t testing.TB, s *overlaystore.Store, ref string, layers ...digest.Digest) overlaystore.Image {
	t.Helper()
	img := overlaystore.Image{Manifest: digest.FromString("manifest of overlaymount " + ref), Config: digest.FromString("config " + ref), Layers: layers}
	img, err := s.PutImage(t.Context(), img)
	if err == nil {
		err = s.Tag(t.Context(), ref, img.Manifest, overlaystore.TagOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	img.Refs = []string{ref}
	return img
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// inForm opens the store again, as one that was made in another form.
func inForm(s *overlaystore.Store, w layer.Whiteouts, x layer.Xattrs) *overlaystore.Store {
	form := fmt.Sprintf(`{"format":1,"whiteouts":%q,"xattrs":%q,"ids":%q}`, w, x, s.Format().IDs)
	if err := os.WriteFile(filepath.Join(s.Path(), "store.json"), []byte(form), 0o600); err != nil {
		panic(err)
	}
	other, err := overlaystore.Open(context.Background(), s.Path(), overlaystore.Options{})
	if err != nil {
		panic(err)
	}
	return other
}
