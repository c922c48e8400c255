// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

func TestLayerDir(t *testing.T) {
	s := openStore(t)
	files := []file{dir("d", 0o755), regular("d/f", "content"), symlink("s", "d"), symlink("d/out", "/etc/passwd")}
	diffID := addLayer(t, s, "some", LayerRecord{}, files...)
	if _, err := s.OpenLayer(layerID("none")); !errors.Is(err, ErrNotFound) {
		t.Errorf("a layer that is not there: got %v, want ErrNotFound", err)
	}
	d, err := s.OpenLayer(diffID)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var paths []string
	for e, err := range d.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, e.Path)
	}
	if want := []string{".", "d", "d/f", "s", "d/out"}; !slices.Equal(paths, want) {
		t.Errorf("the journal has %q, want %q", paths, want)
	}
	for _, path := range []string{"s/f", "d/out", "d", "../layer.json", "/etc/passwd"} {
		if _, err := d.Open(layer.Entry{Path: path, Type: layer.Regular}); err == nil {
			t.Errorf("%s was opened", path)
		}
	}
	f, err := d.Open(layer.Entry{Path: "d/f", Type: layer.Regular})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != "content" {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestEntriesEndWithAnError(t *testing.T) {
	s := openStore(t)
	diffID := addLayer(t, s, "some", LayerRecord{}, regular("f", "x"))
	d, err := s.OpenLayer(diffID)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	last := func(ctx context.Context) (err error) {
		for _, err = range d.Entries(ctx) {
		}
		return err
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := last(done); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is done: got %v", err)
	}
	path := filepath.Join(s.Path(), storedirs.Layers, diffID.Encoded(), journal.Name)
	if err := os.Truncate(path, 4); err != nil {
		t.Fatal(err)
	}
	if err := last(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a journal that is cut short: got %v, want ErrDamaged", err)
	}
}
