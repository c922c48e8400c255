// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// The record of a layer tells what the layer brought.
func TestPullCountsPaths(t *testing.T) {
	f := &field{images: makeImages(t)}
	f.open(t, newStoreDir(t))
	defer f.close(t)
	if err := f.pull(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	img, err := f.store.Lookup(f.ref("app"))
	if err != nil {
		t.Fatal(err)
	}
	// The directories that no entry says, the root among them, count as well.
	want := []overlaystore.Counts{
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

func TestTallyTellsWhatALayerNeeds(t *testing.T) {
	made := &tally{next: func(layer.Entry) error { return nil }}
	for range 10 {
		if err := made.record(layer.Entry{Type: layer.Regular, Size: 100}); err != nil {
			t.Fatal(err)
		}
	}
	full := fmt.Errorf("write: %w", unix.ENOSPC)
	err := made.needs(full, 50, 200)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "needs more than 4000 bytes and 40 inodes") {
		t.Errorf("error %v", err)
	}
	if other := errors.New("other"); made.needs(other, 50, 200) != other {
		t.Error("another error was changed")
	}
	if got := made.needs(full, 0, 200); got != full {
		t.Errorf("before the first byte: %v", got)
	}
}
