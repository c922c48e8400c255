// SPDX-License-Identifier: Apache-2.0

package show

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
)

// Image is an image in the output of images --json.
type Image struct {
	overlaystore.Image
	References []string `json:"references"`
	// Names are the references with what the image was listed for there, which
	// --platform chooses by.
	Names    []overlaystore.Name `json:"names"`
	LastUsed time.Time           `json:"used"`
}

// newImage is an image of the store as JSON has it.
func newImage(i overlaystore.Image) Image {
	return Image{i, append([]string{}, i.Refs...), append([]overlaystore.Name{}, i.Names...), i.Used}
}

// Listed is an image and the engines that have it.
type Listed struct {
	Image
	Engines []given.Record `json:"engines"`
}

// NewListed is an image of the store that was given to engines.
func NewListed(i overlaystore.Image, engines []given.Record) Listed {
	return Listed{newImage(i), append([]given.Record{}, engines...)}
}

// enginesOf are the engines that have an image, for a table.
func enginesOf(l Listed) string {
	var names []string
	for _, r := range l.Engines {
		name := r.Kind
		if r.Namespace != "" {
			name += "/" + r.Namespace
		}
		if !r.Complete {
			name += " (interrupted)"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return cmp.Or(strings.Join(slices.Compact(names), ", "), "-")
}

// namesOf are the image's references for a table: one row at the least.
func namesOf(i overlaystore.Image) []overlaystore.Name {
	if len(i.Names) == 0 {
		return []overlaystore.Name{{Ref: "-", Platform: i.Platform}}
	}
	return i.Names
}

// pulled is when an image was brought into the store the last time.
func pulled(i overlaystore.Image) time.Time {
	if i.Pulled.IsZero() {
		return i.Created
	}
	return i.Pulled
}

// Images prints a row a reference and platform, with the engines where any has
// an image.
func Images(w io.Writer, images []Listed) error {
	table := terminal.NewTable(w)
	head := []any{"REFERENCE", "PLATFORM", "MANIFEST", "LAYERS", "SIZE", "PULLED"}
	given := slices.ContainsFunc(images, func(l Listed) bool { return len(l.Engines) > 0 })
	if given {
		head = append(head, "ENGINES")
	}
	table.Row(head...)
	for _, l := range images {
		i := l.Image.Image
		for _, name := range namesOf(i) {
			row := []any{name.Ref, platform.Format(name.Platform),
				terminal.Short(i.Manifest), len(i.Layers), terminal.Bytes(i.Size), pulled(i).UTC().Format("2006-01-02 15:04")}
			if given {
				row = append(row, enginesOf(l))
			}
			table.Row(row...)
		}
	}
	return table.Flush()
}

// Usage prints what the images take on the disk; used is told from now.
func Usage(w io.Writer, u overlaystore.Usage, now time.Time) error {
	table := terminal.NewTable(w)
	table.Row("REFERENCE", "PLATFORM", "MANIFEST", "SIZE", "SHARED", "OWN", "USED")
	for _, i := range u.Images {
		for _, name := range namesOf(i.Image) {
			table.Row(name.Ref, platform.Format(name.Platform), terminal.Short(i.Manifest),
				terminal.Bytes(i.Bytes), terminal.Bytes(i.Shared), terminal.Bytes(i.Own), ago(i.Used, now))
		}
	}
	table.Row()
	table.Row(fmt.Sprint(u.Layers, " layers"), "", "", terminal.Bytes(u.Bytes), "", "", "")
	if u.Left > 0 {
		table.Row("left by the dead", "", "", terminal.Bytes(u.Left), "", "", "")
	}
	if u.Partial > 0 {
		table.Row("of interrupted pulls", "", "", terminal.Bytes(u.Partial), "", "", "")
	}
	table.Row("reclaimable", "", "", terminal.Bytes(u.Reclaimable), "", "", "")
	return table.Flush()
}

// UsageJSON prints the same as one object.
func UsageJSON(w io.Writer, u overlaystore.Usage) error { return terminal.WriteJSON(w, usageOf(u)) }

// usageJSON is the output of df --json, in bytes of file contents.
type usageJSON struct {
	Images      []imageUsageJSON `json:"images"`
	Layers      int              `json:"layers"`
	Bytes       int64            `json:"bytes"`
	Left        int64            `json:"left"`
	Partial     int64            `json:"partial"`
	Reclaimable int64            `json:"reclaimable"`
}

type imageUsageJSON struct {
	Image
	Bytes  int64 `json:"bytes"`
	Shared int64 `json:"shared"`
	Own    int64 `json:"own"`
}

func usageOf(u overlaystore.Usage) usageJSON {
	out := usageJSON{Images: []imageUsageJSON{}, Layers: u.Layers, Bytes: u.Bytes, Left: u.Left, Partial: u.Partial, Reclaimable: u.Reclaimable}
	for _, i := range u.Images {
		out.Images = append(out.Images, imageUsageJSON{newImage(i.Image), i.Bytes, i.Shared, i.Own})
	}
	return out
}

// ago is how long ago a time was, in one unit.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
