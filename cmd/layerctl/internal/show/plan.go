// SPDX-License-Identifier: Apache-2.0

package show

import (
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
)

// planJSON is what "pull --dry-run --json" prints for each image.
type planJSON struct {
	Reference string          `json:"reference"`
	Manifest  digest.Digest   `json:"manifest"`
	Platform  string          `json:"platform,omitempty"` // of the index's entry
	Layers    []planLayerJSON `json:"layers"`
	Fetch     int64           `json:"fetch"`    // bytes
	Requests  int             `json:"requests"` // without tokens and redirects
	Bytes     uint64          `json:"bytes"`    // on the disk, at least
	Inodes    uint64          `json:"inodes"`   // on the disk, at least
	Exact     bool            `json:"exact"`    // bytes and inodes are not only the least
	Fits      bool            `json:"fits"`
	Problem   string          `json:"problem,omitempty"` // why it does not
}

type planLayerJSON struct {
	Digest  digest.Digest `json:"digest"`
	DiffID  digest.Digest `json:"diffID"`
	Size    int64         `json:"size"` // compressed
	Present bool          `json:"present"`
	Cached  bool          `json:"cached"`
	Foreign bool          `json:"foreign"` // may be missing where its image is
	URLs    []string      `json:"urls"`    // where else it is
}

// PlanJSON prints what a pull would do as one object.
func PlanJSON(w io.Writer, p layerctl.Plan) error { return terminal.WriteJSON(w, planOf(p)) }

func planOf(p layerctl.Plan) planJSON {
	out := planJSON{
		Reference: p.Reference.String(), Manifest: p.Manifest.Digest, Layers: []planLayerJSON{},
		Fetch: p.Fetch, Requests: p.Requests, Bytes: p.Bytes, Inodes: p.Inodes, Exact: p.Exact, Fits: p.Fits == nil,
	}
	if p.Manifest.Platform != nil {
		out.Platform = platform.Format(*p.Manifest.Platform)
	}
	if p.Fits != nil {
		out.Problem = p.Fits.Error()
	}
	for _, l := range p.Layers {
		out.Layers = append(out.Layers, planLayerJSON{
			l.Descriptor.Digest, l.DiffID, l.Descriptor.Size, l.Present, l.Cached,
			manifest.IsForeign(l.Descriptor.MediaType), append([]string{}, l.Descriptor.URLs...),
		})
	}
	return out
}

// Plan prints what a pull would do.
func Plan(w io.Writer, p layerctl.Plan) error {
	if err := terminal.Printf(w, "%s\n", p.Reference); err != nil {
		return err
	}
	for i, l := range p.Layers {
		state := "to fetch"
		switch {
		case l.Present:
			state = "in the store"
		case l.Cached:
			state = "in the cache"
		case manifest.IsForeign(l.Descriptor.MediaType):
			state = fmt.Sprintf("to fetch; foreign, may be missing there (%s)", terminal.Count(len(l.Descriptor.URLs), "url"))
		}
		if err := terminal.Printf(w, "  layer %d/%d %s  %9s  %s\n", i+1, len(p.Layers), terminal.Short(l.Descriptor.Digest), terminal.Bytes(l.Descriptor.Size), state); err != nil {
			return err
		}
	}
	least := "at least "
	if p.Exact {
		least = ""
	}
	fits := "fits"
	if p.Fits != nil {
		fits = "does not fit"
	}
	return terminal.Printf(w, "  fetch %s in %s; disk %s%s and %d inodes: %s\n",
		terminal.Bytes(p.Fetch), terminal.Count(p.Requests, "request"), least, terminal.Bytes(int64(p.Bytes)), p.Inodes, fits)
}
