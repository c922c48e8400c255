// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/progress"
)

// Layer is a layer and its position in the image, counted from 1, for people.
type Layer struct {
	manifest.Layer
	Number, Of int
}

// Number adds their positions to the layers.
func Number(layers []manifest.Layer) []Layer {
	all := make([]Layer, len(layers))
	for i, l := range layers {
		all[i] = Layer{Layer: l, Number: i + 1, Of: len(layers)}
	}
	return all
}

// Distinct adds their positions to the layers, and leaves out layers that repeat the
// diffID of a lower one.
func Distinct(layers []manifest.Layer) []Layer {
	var all []Layer
	seen := map[digest.Digest]bool{}
	for _, l := range Number(layers) {
		if !seen[l.DiffID] {
			seen[l.DiffID] = true
			all = append(all, l)
		}
	}
	return all
}

// Name is the digest of the layer's blob, or its diffID where the blob is unknown.
func (l Layer) Name() string {
	if l.Descriptor.Digest != "" {
		return l.Descriptor.Digest.String()
	}
	return l.DiffID.String()
}

// Event returns an event of the layer.
func (l Layer) Event(kind progress.Kind) progress.Event {
	return progress.Event{Kind: kind, Layer: l.Descriptor, Number: l.Number, Of: l.Of}
}
