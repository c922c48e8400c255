// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// TestServable: stores whose files mean something else to overlayfs of the host's
// root are refused before the engine is asked for anything.
func TestServable(t *testing.T) {
	layertest.NeedsRoot(t, "to make stores of other forms")
	f, e, s := anEngine(t, true)
	img := threeLayers(t, s)
	for _, c := range []struct {
		name string
		in   overlaystore.Options
		want string
	}{
		{"squashed ids", overlaystore.Options{IDs: layer.SquashedIDs}, "belong to other users"},
		{"attributes for deleted names", overlaystore.Options{Whiteouts: layer.XattrMarks}, "in another form"},
		{"tars", overlaystore.Options{Lower: layer.Tars}, "layers as tars"},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, err := overlaystore.Open(t.Context(), filepath.Join(layertest.MemoryDir(t), "store"), c.in)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			before := len(f.methods)
			if _, err := e.Give(t.Context(), store, img, GiveOptions{}); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
			if called := f.methods[before:]; len(called) > 0 {
				t.Errorf("the engine was asked %q", called)
			}
		})
	}
}
