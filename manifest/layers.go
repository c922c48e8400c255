// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layer is one layer of an image: the blob as it is stored, and the digest of
// the tar stream in it.
type Layer struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
}

// Compression tells how the blob is packed. It panics for a layer that did not
// come from [PairLayers].
func (l Layer) Compression() Compression {
	c, err := CompressionOf(l.Descriptor.MediaType)
	if err != nil {
		panic("manifest: " + err.Error())
	}
	return c
}

// PairLayers puts the manifest's layers and the config's diffIDs together, the
// lowest first. Errors are an [ErrMalformed]: another number of the one than
// of the other, or one blob that is to be two layers.
func PairLayers(m *Image, c *Config) ([]Layer, error) {
	if len(m.Layers) != len(c.DiffIDs) {
		return nil, malformed{fmt.Errorf("pair layers: the manifest has %d layers, the config %d diffIDs", len(m.Layers), len(c.DiffIDs))}
	}
	layers := make([]Layer, len(m.Layers))
	seen := map[digest.Digest]digest.Digest{}
	for i, d := range m.Layers {
		id := c.DiffIDs[i]
		if other, ok := seen[d.Digest]; ok && other != id {
			return nil, malformed{fmt.Errorf("pair layers: layer %s is said to have the diffIDs %s and %s", d.Digest, other, id)}
		}
		seen[d.Digest] = id
		layers[i] = Layer{d, id}
	}
	return layers, nil
}

// ChainID names the stack of layers with these diffIDs, the lowest first, as
// image-spec's config.md defines it: the only layer's diffID, then sha256 over
// the chain below and the next diffID. It is "" for no layer.
func ChainID(diffIDs []digest.Digest) digest.Digest { return identity.ChainID(diffIDs) }
