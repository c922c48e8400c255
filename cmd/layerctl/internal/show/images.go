// SPDX-License-Identifier: Apache-2.0

package show

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/trusted"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
)

// Image is an image in the output of images --json.
type Image struct {
	overlaystore.Image
	References []string `json:"references"`
	// Names are the references, each with the platform for which the reference's index
	// lists the image. --platform chooses by that.
	Names    []overlaystore.Name `json:"names"`
	LastUsed time.Time           `json:"used"`
}

// newImage returns an image of the store for JSON.
func newImage(i overlaystore.Image) Image {
	i.Layers = append([]digest.Digest{}, i.Layers...)
	return Image{i, append([]string{}, i.Refs...), append([]overlaystore.Name{}, i.Names...), i.Used}
}

// Listed is an image and the engines that have it.
type Listed struct {
	Image
	// Stored is false if only an engine has the image, because it was handed over.
	Stored  bool           `json:"stored"`
	Engines []given.Record `json:"engines"`
	// Trust has the records of what the policy accepted for each reference.
	Trust []trusted.Record `json:"trust"`
}

// NewListed returns an image of the store, with the records of engines and of the policy.
func NewListed(i overlaystore.Image, engines []given.Record, trust []trusted.Record) Listed {
	return Listed{newImage(i), true, append([]given.Record{}, engines...), trusted.For(trust, i.Manifest)}
}

// NewHandedOver returns an image that only an engine has, because it was handed over.
func NewHandedOver(r given.Record) Listed {
	i := overlaystore.Image{Manifest: r.Manifest, Config: r.Config, Layers: r.Layers, Created: r.Time, Refs: []string{r.Reference}}
	name := overlaystore.Name{Ref: r.Reference}
	if p, err := platform.Parse(r.Platform); err == nil {
		i.Platform, name.Platform = p, p
	}
	i.Names = []overlaystore.Name{name}
	return Listed{newImage(i), false, []given.Record{r}, []trusted.Record{}}
}

// enginesOf returns the engines that have an image, for a table.
func enginesOf(records []given.Record) string {
	var names []string
	for _, r := range records {
		name := r.Kind
		if r.Namespace != "" {
			name += "/" + r.Namespace
		}
		switch {
		case !r.Complete:
			name += " (interrupted)"
		case r.HandedOver:
			name += " (handed over)"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return cmp.Or(strings.Join(slices.Compact(names), ", "), "-")
}

// namesOf returns the image's references, or "-", for the rows of a table.
func namesOf(i overlaystore.Image) []overlaystore.Name {
	if len(i.Names) == 0 {
		return []overlaystore.Name{{Ref: "-", Platform: i.Platform}}
	}
	return i.Names
}

// pulled returns when an image was last pulled.
func pulled(i overlaystore.Image) time.Time {
	if i.Pulled.IsZero() {
		return i.Created
	}
	return i.Pulled
}

// Images prints a row for each reference and platform. If an engine has any image, there
// is a column for engines.
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
		size := terminal.Bytes(i.Size)
		if !l.Stored {
			size = "-"
		}
		for _, name := range namesOf(i) {
			row := []any{name.Ref, platform.Format(name.Platform),
				terminal.Short(i.Manifest), len(i.Layers), size, pulled(i).UTC().Format("2006-01-02 15:04")}
			if given {
				row = append(row, enginesOf(l.Engines))
			}
			table.Row(row...)
		}
	}
	return table.Flush()
}

// Held are the records of what engines were given, by the image's manifest.
type Held map[digest.Digest][]given.Record

// copied returns how many bytes of contents engines have a second time.
func (h Held) copied() (bytes int64) {
	for _, records := range h {
		for _, r := range records {
			bytes += r.Copied
		}
	}
	return bytes
}

// Usage prints how much space the images take on the disk. The column USED says how long
// before now an image was used.
func Usage(w io.Writer, u overlaystore.Usage, held Held, now time.Time) error {
	table := terminal.NewTable(w)
	head := []any{"REFERENCE", "PLATFORM", "MANIFEST", "SIZE", "SHARED", "OWN", "USED"}
	if len(held) > 0 {
		head = append(head, "ENGINES")
	}
	table.Row(head...)
	for _, i := range u.Images {
		for _, name := range namesOf(i.Image) {
			row := []any{name.Ref, platform.Format(name.Platform), terminal.Short(i.Manifest),
				terminal.Bytes(i.Bytes), terminal.Bytes(i.Shared), terminal.Bytes(i.Own), ago(i.Used, now)}
			if len(held) > 0 {
				row = append(row, enginesOf(held[i.Manifest]))
			}
			table.Row(row...)
		}
	}
	table.Row()
	table.Row(terminal.Count(u.Layers, "layer"), "", "", terminal.Bytes(u.Bytes), "", "", "")
	if bytes := held.copied(); bytes > 0 {
		table.Row("copied for engines", "", "", terminal.Bytes(bytes), "", "", "")
	}
	if u.Left > 0 {
		table.Row("left by the dead", "", "", terminal.Bytes(u.Left), "", "", "")
	}
	if u.Partial > 0 {
		table.Row("of interrupted pulls", "", "", terminal.Bytes(u.Partial), "", "", "")
	}
	table.Row("reclaimable", "", "", terminal.Bytes(u.Reclaimable), "", "", "")
	return table.Flush()
}

// UsageJSON prints the same as [Usage], as one object.
func UsageJSON(w io.Writer, u overlaystore.Usage, held Held) error {
	return terminal.WriteJSON(w, usageOf(u, held))
}

// usageJSON is the output of df --json, in bytes of file contents.
type usageJSON struct {
	Images  []imageUsageJSON `json:"images"`
	Layers  int              `json:"layers"`
	Bytes   int64            `json:"bytes"`
	Left    int64            `json:"left"`
	Partial int64            `json:"partial"`
	// Copied is how much engines have a second time, because it could not be linked.
	Copied      int64 `json:"copied"`
	Reclaimable int64 `json:"reclaimable"`
}

type imageUsageJSON struct {
	Image
	Bytes   int64          `json:"bytes"`
	Shared  int64          `json:"shared"`
	Own     int64          `json:"own"`
	Engines []given.Record `json:"engines"`
}

func usageOf(u overlaystore.Usage, held Held) usageJSON {
	out := usageJSON{Images: []imageUsageJSON{}, Layers: u.Layers, Bytes: u.Bytes, Left: u.Left, Partial: u.Partial, Copied: held.copied(), Reclaimable: u.Reclaimable}
	for _, i := range u.Images {
		out.Images = append(out.Images, imageUsageJSON{newImage(i.Image), i.Bytes, i.Shared, i.Own, append([]given.Record{}, held[i.Manifest]...)})
	}
	return out
}

// ago returns how long ago a time was, in one unit.
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
