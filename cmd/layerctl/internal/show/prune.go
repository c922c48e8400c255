// SPDX-License-Identifier: Apache-2.0

package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
)

// PrunedJSON prints what a prune removed as one object.
func PrunedJSON(w io.Writer, p overlaystore.Pruned, blobs layerctl.PrunedBlobs) error {
	out := prunedJSON{Images: []Image{}, Layers: append([]digest.Digest{}, p.Layers...), Fixes: append([]digest.Digest{}, p.Fixes...), Blobs: []digest.Digest{}, Left: p.Left, Partial: p.Partial + blobs.Partial, Bytes: p.Bytes + p.Left + p.Partial + blobs.Bytes + blobs.Partial}
	for _, b := range blobs.Blobs {
		out.Blobs = append(out.Blobs, b.Digest)
	}
	for _, i := range p.Images {
		out.Images = append(out.Images, newImage(i))
	}
	return terminal.WriteJSON(w, out)
}

// Pruned prints a line for each thing that a prune removed.
func Pruned(w io.Writer, p overlaystore.Pruned, blobs layerctl.PrunedBlobs) error {
	var b strings.Builder
	for _, i := range p.Images {
		fmt.Fprintf(&b, "image %s\n", i.Manifest)
	}
	for _, d := range p.Layers {
		fmt.Fprintf(&b, "layer %s\n", d)
	}
	for _, d := range p.Fixes {
		fmt.Fprintf(&b, "fix layer %s\n", d)
	}
	for _, blob := range blobs.Blobs {
		fmt.Fprintf(&b, "blob %s\n", blob.Digest)
	}
	if p.Left > 0 {
		fmt.Fprintf(&b, "left by processes that died %s\n", terminal.Bytes(p.Left))
	}
	if partial := p.Partial + blobs.Partial; partial > 0 {
		fmt.Fprintf(&b, "layers of interrupted pulls %s\n", terminal.Bytes(partial))
	}
	return terminal.Printf(w, "%s", b.String())
}

// prunedJSON is the output of prune --json; bytes are those of file contents
// and of blobs.
type prunedJSON struct {
	Images []Image         `json:"images"`
	Layers []digest.Digest `json:"layers"`
	Fixes  []digest.Digest `json:"fixLayers"`
	Blobs  []digest.Digest `json:"blobs"`
	Left   int64           `json:"left"` // bytes that dead processes had left
	// Partial is how many bytes of layers interrupted pulls had left.
	Partial int64 `json:"partial"`
	Bytes   int64 `json:"bytes"`
}
