// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
)

// emptyTar is a tar archive without an entry.
var emptyTar = make([]byte, 1024)

// emptyLayer stands for the layers of an image that has none, FROM scratch with
// a label: its root is an empty directory, and no registry need have it.
func emptyLayer() manifest.Layer {
	d := digest.FromBytes(emptyTar)
	return manifest.Layer{
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: int64(len(emptyTar))},
		DiffID:     d,
	}
}

// held is a blob that nobody need be asked for: that of [emptyLayer], or what
// the descriptor itself holds.
func held(desc ocispec.Descriptor) (io.ReadCloser, bool) {
	raw := desc.Data
	if desc.Digest == emptyLayer().DiffID {
		raw = emptyTar
	}
	if len(raw) == 0 || int64(len(raw)) != desc.Size || desc.Digest.Algorithm().FromBytes(raw) != desc.Digest {
		return nil, false
	}
	return io.NopCloser(bytes.NewReader(raw)), true
}
