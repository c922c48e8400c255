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

// planJSON is the output of pull --dry-run --json for each image.
type planJSON struct {
	Reference string          `json:"reference"`
	Manifest  digest.Digest   `json:"manifest"`
	Platform  string          `json:"platform"` // of the index's entry, else of the config
	Layers    []planLayerJSON `json:"layers"`
	costJSON
}

// costJSON is what one image takes, or several together. Each layer counts once.
type costJSON struct {
	Fetch    int64  `json:"fetch"`             // bytes
	Requests int    `json:"requests"`          // without tokens and redirects
	Bytes    uint64 `json:"bytes"`             // on the disk; at least, if exact is false
	Inodes   uint64 `json:"inodes"`            // on the disk, at least
	Exact    bool   `json:"exact"`             // the size of each layer's tar is known
	Free     uint64 `json:"free"`              // on the disk, without the reserve
	Fits     bool   `json:"fits"`              // together with the images before; if exact is false it may fit
	Problem  string `json:"problem,omitempty"` // why it does not fit
}

// planTotalJSON is the output after several images.
type planTotalJSON struct {
	Total planSumJSON `json:"total"`
}

type planSumJSON struct {
	Images int `json:"images"`
	costJSON
}

type planLayerJSON struct {
	Digest  digest.Digest `json:"digest"`
	DiffID  digest.Digest `json:"diffID"`
	Size    int64         `json:"size"`  // compressed
	Tar     int64         `json:"tar"`   // uncompressed, of a layer to fetch; 0 if that is not known
	Begun   int64         `json:"begun"` // how much of size an interrupted pull has
	Present bool          `json:"present"`
	Partial bool          `json:"partial"` // an interrupted pull has finished it
	Earlier bool          `json:"earlier"` // an image before it in the list has it
	Cached  bool          `json:"cached"`
	Foreign bool          `json:"foreign"` // the image's registry need not have it
	URLs    []string      `json:"urls"`    // other places for it
}

// PlanJSON prints what a pull would do as one object.
func PlanJSON(w io.Writer, p layerctl.Plan) error { return terminal.WriteJSON(w, planOf(p)) }

func planOf(p layerctl.Plan) planJSON {
	out := planJSON{
		Reference: p.Reference.String(), Manifest: p.Manifest.Digest, Platform: planPlatform(p),
		Layers: []planLayerJSON{}, costJSON: costOf(p),
	}
	for _, l := range p.Layers {
		out.Layers = append(out.Layers, planLayerJSON{
			l.Descriptor.Digest, l.DiffID, l.Descriptor.Size, l.Tar, l.Begun, l.Present, l.Partial, l.Earlier, l.Cached,
			manifest.IsForeign(l.Descriptor.MediaType), append([]string{}, l.Descriptor.URLs...),
		})
	}
	return out
}

// planPlatform returns the platform of the index's entry, or else of the config.
func planPlatform(p layerctl.Plan) string {
	if p.Root.Digest != p.Manifest.Digest && p.Manifest.Platform != nil {
		return platform.Format(*p.Manifest.Platform)
	}
	return platform.Format(p.Platform)
}

func costOf(p layerctl.Plan) costJSON {
	c := costJSON{Fetch: p.Fetch, Requests: p.Requests, Bytes: p.Bytes, Inodes: p.Inodes, Exact: p.Exact, Free: p.Free, Fits: p.Fits == nil}
	if p.Fits != nil {
		c.Problem = p.Fits.Error()
	}
	return c
}

// total returns what all images take together. The cost of each leaves out layers of the
// images before, and whether it fits includes them.
func total(plans []layerctl.Plan) costJSON {
	t := costJSON{Exact: true, Fits: true}
	for _, p := range plans {
		c := costOf(p)
		t.Fetch, t.Requests = t.Fetch+c.Fetch, t.Requests+c.Requests
		t.Bytes, t.Inodes = t.Bytes+c.Bytes, t.Inodes+c.Inodes
		t.Exact, t.Free = t.Exact && c.Exact, c.Free
		if !c.Fits {
			t.Fits, t.Problem = false, c.Problem
		}
	}
	return t
}

// PlanTotalJSON prints what several pulls would take as one object.
func PlanTotalJSON(w io.Writer, plans []layerctl.Plan) error {
	return terminal.WriteJSON(w, planTotalJSON{planSumJSON{len(plans), total(plans)}})
}

// PlanTotal prints what several pulls would take.
func PlanTotal(w io.Writer, plans []layerctl.Plan) error {
	t := total(plans)
	return terminal.Printf(w, "%d images in all\n%s  %s are free, without the reserve\n", len(plans), t, terminal.Bytes(int64(t.Free)))
}

// String returns the cost in a line.
func (c costJSON) String() string {
	least, each, fits := "at least ", "", "may fit"
	if c.Exact {
		least, each, fits = "", "at least ", "fits"
	}
	if c.Inodes == 0 {
		each = ""
	}
	if !c.Fits {
		fits = "does not fit"
	}
	return fmt.Sprintf("  fetch %s in %s; disk %s%s and %s%d inodes: %s\n",
		terminal.Bytes(c.Fetch), terminal.Count(c.Requests, "request"), least, terminal.Bytes(int64(c.Bytes)), each, c.Inodes, fits)
}

// Plan prints what a pull would do.
func Plan(w io.Writer, p layerctl.Plan) error {
	if err := terminal.Printf(w, "%s  %s\n", p.Reference, planPlatform(p)); err != nil {
		return err
	}
	for i, l := range p.Layers {
		state := "to fetch"
		switch {
		case l.Present:
			state = "in the store"
		case l.Partial:
			state = "kept of an interrupted pull"
		case l.Earlier:
			state = "with an image before"
		case l.Cached:
			state = "in the cache"
		case manifest.IsForeign(l.Descriptor.MediaType):
			state = fmt.Sprintf("to fetch; foreign, may be missing there (%s)", terminal.Count(len(l.Descriptor.URLs), "url"))
		case l.Begun > 0:
			state = fmt.Sprintf("to fetch, but for %s that an interrupted pull has", terminal.Bytes(l.Begun))
		}
		if err := terminal.Printf(w, "  layer %d/%d %s  %9s  %s\n", i+1, len(p.Layers), terminal.Short(l.Descriptor.Digest), terminal.Bytes(l.Descriptor.Size), state); err != nil {
			return err
		}
	}
	return terminal.Printf(w, "%s", costOf(p))
}
