// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"strings"
	"sync"
	"testing"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/platform"
)

// The record of a layer tells what the layer brought.
func TestPullCountsPaths(t *testing.T) {
	f := &field{images: makeImages(t)}
	f.open(t, newStoreDir(t))
	defer f.close(t)
	if err := f.pull(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	img, err := f.store.Lookup(f.ref("app"), platform.Wanted{})
	if err != nil {
		t.Fatal(err)
	}
	// The directories that no entry says, the root among them, count as well.
	want := []layer.Counts{
		{Regular: 2, Directories: 4},
		{Regular: 1, Directories: 3, Symlinks: 1, Whiteouts: 1},
		{Regular: 1, Directories: 3, Hardlinks: 1, Opaque: 1},
	}
	for i, diffID := range img.Layers {
		record, err := f.store.Layer(diffID)
		if err != nil {
			t.Fatal(err)
		}
		if got := record.Counts; got != want[i] {
			t.Errorf("layer %d: %+v, want %+v", i+1, got, want[i])
		}
	}
}

// The index of an image is made while the disk writes its layers, and one sync is
// for both.
func TestPullIntoTarsSyncsOnce(t *testing.T) {
	layertest.NeedsRoot(t, "it makes a store of tars")
	f := &field{images: makeImages(t), lower: layer.Tars}
	f.open(t, newStoreDir(t))
	defer f.close(t)
	var mu sync.Mutex
	var steps []string
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if op == "write index" || op == "syncfs" {
			mu.Lock()
			defer mu.Unlock()
			steps = append(steps, op)
		}
		return nil
	})
	for _, c := range []struct{ image, want string }{
		{"app", "write index, syncfs"},
		{"stays", "write index, syncfs"}, // its layers are there
	} {
		if steps = nil; f.pull(ctx, c.image) != nil || strings.Join(steps, ", ") != c.want {
			t.Errorf("%s: got %q, want %q", c.image, steps, c.want)
		}
	}
}
