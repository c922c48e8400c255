// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"testing"
	"time"

	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry"
)

func TestPatienceGrowsWithTheLayers(t *testing.T) {
	var layers []manifest.Layer
	for _, size := range []int64{0, 100 << 20, 1 << 62, 1 << 62} {
		l := manifest.Layer{DiffID: "x"}
		l.Descriptor.Size = size
		layers = append(layers, l)
	}
	busy := fetch.Number(layers)
	for i, want := range []time.Duration{20 * time.Second, 420 * time.Second, 24*time.Hour + 20*time.Second, 24*time.Hour + 20*time.Second} {
		if got := patienceFor(registry.Docker, busy, busy[i]); got != want {
			t.Errorf("layer %d: %v, want %v", i, got, want)
		}
	}
	if got, want := patienceFor(registry.OCI, busy, busy[1]), 11*time.Second; got != want {
		t.Errorf("of a layout: %v, want %v", got, want)
	}
}
