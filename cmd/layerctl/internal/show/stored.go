// SPDX-License-Identifier: Apache-2.0

package show

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/trusted"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
)

// Stored is the output of inspect --stored --json.
type Stored struct {
	Reference string             `json:"reference"`
	Image     overlaystore.Image `json:"image"`
	// Layers are the records of the image's layers, the lowest first.
	Layers []overlaystore.LayerRecord `json:"layers"`
	// Trust has the records of what the policy accepted for each reference.
	Trust []trusted.Record `json:"trust"`
}

// JSON prints one object.
func (d Stored) JSON(w io.Writer) error { return terminal.WriteJSON(w, d) }

// Text prints a line for each fact, and below each layer what was tolerated in it.
func (d Stored) Text(w io.Writer) error {
	table := terminal.NewTable(w)
	table.Row("reference", d.Reference)
	table.Row("platform", platform.Format(d.Image.Platform))
	table.Row("manifest", d.Image.Manifest)
	table.Row("config", d.Image.Config)
	if d.Image.Fix != "" {
		table.Row("fix layer", d.Image.Fix)
	}
	for _, r := range d.Trust {
		for _, s := range r.Signatures {
			table.Row("trust", fmt.Sprintf("signed by key %s (%s), asked for by %s as %s", terminal.Short(digest.Digest(s.Key)), s.Form, r.Where(), r.Reference))
		}
	}
	for i, l := range d.Layers {
		table.Row(fmt.Sprintf("layer %d/%d", i+1, len(d.Layers)), fmt.Sprintf("%s  %s", l.DiffID, terminal.Bytes(l.DiskSize)))
		table.Row("", describeLayer(l))
		for _, key := range slices.Sorted(maps.Keys(l.Notes)) {
			table.Row("", fmt.Sprintf("tolerated: %s (%d times)", key, l.Notes[key]))
		}
	}
	return table.Flush()
}

// describeLayer returns the sizes and counts of a layer, and what a fix layer corrects.
func describeLayer(l overlaystore.LayerRecord) string {
	parts := []string{fmt.Sprintf("%s as tar", terminal.Bytes(l.Size))}
	for _, b := range l.Blobs {
		parts = append(parts, fmt.Sprintf("%s as %s", terminal.Bytes(b.Size), b.MediaType))
	}
	for _, c := range []struct {
		n    int64
		what string
	}{
		{l.Counts.Regular, "files"},
		{l.Counts.Directories, "directories"},
		{l.Counts.Symlinks, "symlinks"},
		{l.Counts.Hardlinks, "hardlinks"},
		{l.Counts.Devices, "devices and FIFOs"},
		{l.Counts.Whiteouts, "whiteouts"},
		{l.Counts.Opaque, "opaque directories"},
		{int64(len(l.Implied)), "implied directories"},
		{int64(len(l.WhiteoutParents)), "directories with whiteouts"},
		{int64(len(l.ForeignLinks)), "hardlinks into lower layers"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", c.what, c.n))
		}
	}
	if l.RootOpaque {
		parts = append(parts, "hides all layers below")
	}
	return strings.Join(parts, "; ")
}
