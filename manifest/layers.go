// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layer is one layer of an image: the descriptor of its blob, and the digest of the tar
// stream in that.
type Layer struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
}

// Compression returns the compression of the blob. It panics for a layer that was not
// made by [PairLayers].
func (l Layer) Compression() Compression {
	c, err := CompressionOf(l.Descriptor.MediaType)
	if err != nil {
		panic("manifest: " + err.Error())
	}
	return c
}

// PairLayers joins the manifest's layers with the config's diffIDs, the lowest first. The
// error is an [ErrMalformed] if their numbers differ, or if one blob has two diffIDs.
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

// ChainID returns the name of a stack of layers with these diffIDs, the lowest first, as
// image-spec's config.md defines it: for one layer its diffID, for more the sha256 of the
// ChainID of all but the topmost, a space, and the topmost diffID. It is "" for no layer.
func ChainID(diffIDs []digest.Digest) digest.Digest { return identity.ChainID(diffIDs) }
