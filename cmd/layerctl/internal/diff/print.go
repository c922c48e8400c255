// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bufio"
	"fmt"
	"io"

	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/imagediff"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/rootfs"
)

// maxValue is how many columns of a line a value of a config has at most.
const maxValue = 60

func (s *side) platformName() string {
	if s.Config == nil {
		return ""
	}
	return platform.Format(s.Config.Platform)
}

// text prints for people: the two images, counts of layers and files, the fields of the
// config that differ, and a line for each path.
func text(w io.Writer, a, b *side, found *imagediff.Result) error {
	out := bufio.NewWriter(w)
	p := terminal.NewPainter(w)
	for _, s := range []*side{a, b} {
		name := terminal.Escape(s.ref)
		if of := s.platformName(); of != "" {
			name += "  " + terminal.Escape(of)
		}
		fmt.Fprintf(out, "%s  %s\n", map[*side]string{a: "A", b: "B"}[s], p.Bold(name))
	}
	layers := found.Layers
	if a.Config != nil && b.Config != nil {
		fmt.Fprintf(out, "\nlayers  %s, %s, %s\n", layerWords(layers.Shared, "shared"), layerWords(layers.OnlyA, "of A alone"), layerWords(layers.OnlyB, "of B alone"))
	}
	fmt.Fprintf(out, "files   %s, %s, %s\n", countWords(found, imagediff.Added), countWords(found, imagediff.Removed), countWords(found, imagediff.Changed))
	if len(found.Config) > 0 {
		fmt.Fprintln(out, "\nconfig")
	}
	for _, f := range found.Config {
		switch name := terminal.Clip(f.Name, maxValue); {
		case f.A == "":
			fmt.Fprintln(out, p.Green("+ "+name+" = "+terminal.Clip(f.B, maxValue)))
		case f.B == "":
			fmt.Fprintln(out, p.Red("- "+name+" = "+terminal.Clip(f.A, maxValue)))
		default:
			fmt.Fprintf(out, "~ %s = %s -> %s\n", name, terminal.Clip(f.A, maxValue), terminal.Clip(f.B, maxValue))
		}
	}
	if len(found.Files) > 0 {
		fmt.Fprintln(out, "\nfiles")
	}
	for _, change := range found.Files {
		fmt.Fprintln(out, line(p, change))
	}
	return out.Flush()
}

// layerWords returns the number of layers and the size of their blobs, in words.
func layerWords(list []imagediff.Layer, where string) string {
	var size int64
	for _, l := range list {
		size += max(l.Size, 0)
	}
	if len(list) == 0 {
		return "0 " + where
	}
	return fmt.Sprintf("%d %s (%s)", len(list), where, terminal.Bytes(size))
}

func countWords(found *imagediff.Result, kind imagediff.Kind) string {
	n, size := found.Count(kind)
	switch {
	case n == 0:
		return "0 " + string(kind)
	case size < 0:
		return fmt.Sprintf("%d %s (-%s)", n, kind, terminal.Bytes(-size))
	}
	return fmt.Sprintf("%d %s (+%s)", n, kind, terminal.Bytes(size))
}

// line returns the line for one path.
func line(p terminal.Painter, change imagediff.Change) string {
	path := terminal.Escape(change.Path)
	switch change.Kind {
	case imagediff.Added:
		return p.Green("+ " + path + kindWords(change.B))
	case imagediff.Removed:
		return p.Red("- " + path + kindWords(change.A))
	}
	var words []string
	for _, what := range change.What {
		words = append(words, differenceWords(what, change.A, change.B))
	}
	return "~ " + path + "  " + strings.Join(words, ", ")
}

// kindWords returns the size of a regular file, or what else the file is.
func kindWords(f *rootfs.File) string {
	switch {
	case f.Mode.IsRegular():
		return "  " + terminal.Bytes(f.Size)
	case f.Mode.IsDir():
		return "/"
	case f.Target != "":
		return " -> " + terminal.Escape(f.Target)
	}
	return "  " + show.FileObjects([]rootfs.File{*f})[0].Type
}

func differenceWords(what string, a, b *rootfs.File) string {
	from, to := show.FileObjects([]rootfs.File{*a})[0], show.FileObjects([]rootfs.File{*b})[0]
	change := func(a, b any) string { return fmt.Sprintf("%s %v -> %v", what, a, b) }
	switch what {
	case "type":
		return change(from.Type, to.Type)
	case "content":
		if a.Size == b.Size {
			return "content, " + terminal.Bytes(a.Size)
		}
		return change(terminal.Bytes(a.Size), terminal.Bytes(b.Size))
	case "mode":
		return change(from.Mode, to.Mode)
	case "owner":
		return change(fmt.Sprintf("%d:%d", a.UID, a.GID), fmt.Sprintf("%d:%d", b.UID, b.GID))
	case "target":
		return change(terminal.Clip(a.Target, maxValue), terminal.Clip(b.Target, maxValue))
	case "time":
		return change(a.ModTime.UTC().Format("2006-01-02T15:04:05Z"), b.ModTime.UTC().Format("2006-01-02T15:04:05Z"))
	}
	return what
}

// difference is the output of diff --json; docs/diff.schema.json describes it.
type difference struct {
	SchemaVersion int            `json:"schemaVersion"`
	A             imageObject    `json:"a"`
	B             imageObject    `json:"b"`
	Equal         bool           `json:"equal"`
	Layers        *layersObject  `json:"layers"`
	Config        []fieldObject  `json:"config"`
	Files         []changeObject `json:"files"`
}

type imageObject struct {
	Reference string `json:"reference"`
	Platform  string `json:"platform"`
}

type layersObject struct {
	Shared []layerObject `json:"shared"`
	OnlyA  []layerObject `json:"onlyA"`
	OnlyB  []layerObject `json:"onlyB"`
}

type layerObject struct {
	DiffID digest.Digest `json:"diffID"`
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

type fieldObject struct {
	Field string `json:"field"`
	A     string `json:"a"`
	B     string `json:"b"`
}

type changeObject struct {
	Path   layer.Path       `json:"path"`
	Change imagediff.Kind   `json:"change"`
	What   []string         `json:"what"`
	A      *show.FileObject `json:"a"`
	B      *show.FileObject `json:"b"`
}

func document(w io.Writer, a, b *side, found *imagediff.Result) error {
	d := difference{
		SchemaVersion: 1, A: imageObject{a.ref, a.platformName()}, B: imageObject{b.ref, b.platformName()}, Equal: found.Equal(),
		Config: []fieldObject{}, Files: []changeObject{},
	}
	if a.Config != nil && b.Config != nil {
		d.Layers = &layersObject{layerObjects(found.Layers.Shared), layerObjects(found.Layers.OnlyA), layerObjects(found.Layers.OnlyB)}
	}
	for _, f := range found.Config {
		d.Config = append(d.Config, fieldObject{f.Name, f.A, f.B})
	}
	for _, c := range found.Files {
		o := changeObject{Path: layer.Path(c.Path), Change: c.Kind, What: append([]string{}, c.What...)}
		if c.A != nil {
			o.A = &show.FileObjects([]rootfs.File{*c.A})[0]
		}
		if c.B != nil {
			o.B = &show.FileObjects([]rootfs.File{*c.B})[0]
		}
		d.Files = append(d.Files, o)
	}
	return terminal.WriteJSON(w, d)
}

func layerObjects(list []imagediff.Layer) []layerObject {
	objects := make([]layerObject, len(list))
	for i, l := range list {
		objects[i] = layerObject(l)
	}
	return objects
}
