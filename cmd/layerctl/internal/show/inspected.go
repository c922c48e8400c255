// SPDX-License-Identifier: Apache-2.0

package show

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"
)

const (
	// platformWidth is how many columns of a row a platform has at most.
	platformWidth = 40
	// mostHistory bounds how many steps of an image's history are shown.
	mostHistory = 100
)

// Inspected prints an index as a table, with a row for each image, and a single image with
// what its config says.
func Inspected(w io.Writer, found *inspect.Result) error {
	t := &tree{Painter: terminal.NewPainter(w), found: found}
	if found.Kind == "index" {
		t.table()
	} else {
		t.name()
		t.alone(&found.Manifests[0])
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// Chosen prints the chosen image, with what its config says and the digests of its
// attestations. If none was chosen it prints the table.
func Chosen(w io.Writer, found *inspect.Result) error {
	leaves := leavesOf(found.Manifests)
	at := slices.IndexFunc(leaves, func(m *inspect.Manifest) bool { return m.Chosen })
	if found.Kind != "index" || at < 0 {
		return Inspected(w, found)
	}
	t := &tree{Painter: terminal.NewPainter(w), found: found}
	t.index()
	t.line("")
	t.alone(leaves[at])
	for _, m := range leaves {
		if m.Kind == "attestation" && m.AttestationOf == string(leaves[at].Digest) {
			t.digest("attest", m.Digest)
		}
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// leavesOf returns the entries that are no index, also those of nested indexes, and nested
// indexes that could not be read.
func leavesOf(entries []inspect.Manifest) (leaves []*inspect.Manifest) {
	for i := range entries {
		m := &entries[i]
		if m.Kind == "index" && m.Error == "" {
			leaves = append(leaves, leavesOf(m.Manifests)...)
			continue
		}
		leaves = append(leaves, m)
	}
	return leaves
}

// table writes a row for each image. It only counts attestations.
func (t *tree) table() {
	t.index()
	rows := [][4]string{{"PLATFORM", "SIZE", "LAYERS", "DIGEST"}}
	var marks []bool
	attestations := 0
	for _, m := range leavesOf(t.found.Manifests) {
		if m.Kind == "attestation" {
			attestations++
			continue
		}
		row := [4]string{terminal.Clip(manifestName(m), platformWidth), "-", "-", terminal.Short(m.Digest)}
		if m.CompressedSize != nil {
			row[1], row[2] = terminal.Bytes(*m.CompressedSize), fmt.Sprint(len(m.Layers))
		}
		rows, marks = append(rows, row), append(marks, m.Chosen)
	}
	if len(marks) > 0 {
		t.line("")
		t.rows(rows, marks)
	}
	t.line("")
	note := "* for "
	if !slices.Contains(marks, true) {
		note = "nothing for "
	}
	for _, l := range terminal.Wrap(note+hostName(t.found.Host)+tableHint(attestations), width) {
		t.line(l)
	}
}

// tableHint names the flag that shows more.
func tableHint(attestations int) string {
	if attestations == 0 {
		return "; --layers shows more"
	}
	return fmt.Sprintf("; --layers shows more, and the %s", terminal.Count(attestations, "attestation"))
}

// rows writes the heading and the rows; marks are true for chosen images.
func (t *tree) rows(rows [][4]string, marks []bool) {
	var widest [3]int
	for _, row := range rows {
		for i := range widest {
			widest[i] = max(widest[i], utf8.RuneCountInString(row[i]))
		}
	}
	for n, row := range rows {
		text := fmt.Sprintf("%-*s  %*s  %*s  ", widest[0], row[0], widest[1], row[1], widest[2], row[2])
		switch {
		case n == 0:
			t.line("  " + t.Dim(text+row[3]))
		case marks[n-1]:
			t.line(t.Green("* "+text) + t.Yellow(row[3]))
		default:
			t.line("  " + text + t.Yellow(row[3]))
		}
	}
}

// alone writes one image with what its config says.
func (t *tree) alone(m *inspect.Manifest) {
	t.manifest(m, 0)
	if m.Config == nil || m.Config.Document == nil || m.Kind != "image" {
		return
	}
	var image ocispec.Image
	if json.Unmarshal(m.Config.Document, &image) != nil {
		return // the manifest's error says so
	}
	t.line("")
	c := image.Config
	t.fact("author", image.Author)
	t.fact("user", c.User)
	t.fact("entrypoint", words(c.Entrypoint))
	t.fact("cmd", words(c.Cmd))
	t.fact("workdir", c.WorkingDir)
	t.fact("stop", c.StopSignal)
	for _, variable := range c.Env {
		t.fact("env", variable)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
		t.fact("label", key+"="+c.Labels[key])
	}
	t.fact("ports", strings.Join(slices.Sorted(maps.Keys(c.ExposedPorts)), " "))
	t.fact("volumes", strings.Join(slices.Sorted(maps.Keys(c.Volumes)), " "))
	t.history(image.History)
}

// history writes the steps that made the image, the first one first.
func (t *tree) history(steps []ocispec.History) {
	for i, step := range steps {
		if i == mostHistory {
			t.fact("history", fmt.Sprintf("and %d more", len(steps)-i))
			return
		}
		text := strings.Join(strings.Fields(step.CreatedBy), " ")
		if text == "" {
			text = step.Comment
		}
		if step.EmptyLayer {
			text += "  (no layer)"
		}
		t.fact("history", text)
	}
}

// factMargin is the width of the names of facts.
const factMargin = 12

// fact writes a value of the config, unless it is empty.
func (t *tree) fact(name, value string) {
	if value == "" {
		return
	}
	for i, l := range terminal.WrapLines(value, width-factMargin, 6) {
		if i > 0 {
			name = ""
		}
		t.line(fmt.Sprintf("%*s  ", factMargin-2, name) + l)
	}
}

// words returns a command as JSON, "" for none.
func words(command []string) string {
	if len(command) == 0 {
		return ""
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(command) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
