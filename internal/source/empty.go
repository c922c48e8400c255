// SPDX-License-Identifier: Apache-2.0

package source

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
)

// emptyTar is a tar archive without an entry.
var emptyTar = make([]byte, 1024)

// emptyLayer stands for the layers of an image without any, such as one FROM scratch with
// a label. Its tar has no entry, and no registry need have it.
func emptyLayer() manifest.Layer {
	d := digest.FromBytes(emptyTar)
	return manifest.Layer{
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: int64(len(emptyTar))},
		DiffID:     d,
	}
}

// embedded returns a blob for which nobody need be asked: that of [emptyLayer], or the
// bytes that the descriptor embeds, which it verifies.
func embedded(desc ocispec.Descriptor) (raw []byte, ok bool) {
	raw = desc.Data
	if desc.Digest == emptyLayer().DiffID {
		raw = emptyTar
	}
	ok = len(raw) > 0 && int64(len(raw)) == desc.Size && desc.Digest.Algorithm().FromBytes(raw) == desc.Digest
	return raw, ok
}
