// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/layertest"
)

// TestAdmit: what the engine could not mount is refused before it is asked to
// keep anything.
func TestAdmit(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	path := layertest.MemoryDir(t)
	f := newFake(t, path, true)
	f.disk = filepath.Join(path, "snapshots")
	e := connectTo(t, f)
	for _, c := range []struct {
		layers int
		last   int // the number of the engine's newest snapshot
		deep   bool
	}{{certain, 1 << 30, false}, {certain + 1, 1, false}, {500, 1, false}, {500, 1000, true}, {440, 9000, false}, {440, 10000, true}} {
		t.Run(fmt.Sprint(c.layers, " after ", c.last), func(t *testing.T) {
			layers := make([]digest.Digest, c.layers)
			for i := range layers {
				layers[i] = layertest.DiffID(fmt.Sprint(c.last, i))
			}
			f.serial = c.last
			err := e.Admit(t.Context(), layers)
			if deep := (*DepthError)(nil); errors.As(err, &deep) != c.deep || err != nil && !errors.Is(err, ErrUnsupported) {
				t.Errorf("error %v", err)
			}
			if left := f.leftovers(); left != nil {
				t.Errorf("left: %q", left)
			}
		})
	}
	if slices.Contains(f.methods[:2], "Prepare") {
		t.Errorf("a few layers make the engine do %q", f.methods[:2])
	}
}
