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
	"github.com/layerctl/layerctl/inspect"
)

// width is the number of columns of a line: the narrowest terminal that is still common. A
// digest takes 71 columns, which leaves 9 before it at any depth. So headings are indented
// and digests are not.
const (
	width  = 80
	margin = 9
	// mostLines bounds the lines of one text of an author.
	mostLines = 12
)

// predicateType is the annotation of a layer of an attestation that says what it
// attests (https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md).
const predicateType = "in-toto.io/predicate-type"

// Tree prints an inspection for people, with diffIDs if diffIDs is set.
func Tree(w io.Writer, found *inspect.Result, diffIDs bool) error {
	t := &tree{Painter: terminal.NewPainter(w), found: found, diffIDs: diffIDs}
	t.inspection()
	_, err := io.WriteString(w, t.String())
	return err
}

// tree writes an inspection for people.
type tree struct {
	strings.Builder
	terminal.Painter
	found   *inspect.Result
	diffIDs bool
	form    string // the media type of layers that was printed last
}

func (t *tree) inspection() {
	if t.found.Kind != "index" {
		t.name()
		t.manifest(&t.found.Manifests[0], 0)
		return
	}
	t.index()
	t.text("for %s", hostName(t.found.Host))
	t.entries(t.found.Manifests, 0)
}

// name writes the reference, in its canonical form and in one line, however long it
// is: people copy it.
func (t *tree) name() { t.line(t.Bold(terminal.Escape(t.found.Reference))) }

// index writes what the index itself says.
func (t *tree) index() {
	t.name()
	t.digest("index", t.found.Digest)
	t.text("%s of %s, %s", formName(t.found.MediaType), census(t.found.Manifests), terminal.Bytes(t.found.Size))
	t.annotations(t.found.Annotations)
}

// entries writes an index's images, and after them the attestations about them.
func (t *tree) entries(entries []inspect.Manifest, depth int) {
	var attestations []*inspect.Manifest
	for i := range entries {
		if entries[i].Kind == "attestation" {
			attestations = append(attestations, &entries[i])
			continue
		}
		t.line("")
		t.manifest(&entries[i], depth)
	}
	if len(attestations) == 0 {
		return
	}
	t.line("")
	t.line(strings.Repeat("  ", depth+1) + t.Dim("attestations"))
	for _, a := range attestations {
		t.digest("attest", a.Digest)
		t.text("of %s, %s", subject(entries, a.AttestationOf), terminal.Bytes(a.Size))
		for _, l := range a.Layers {
			if predicate := l.Annotations[predicateType]; predicate != "" {
				t.text("predicate %s", predicate)
			}
		}
		t.annotations(without(a.Annotations, "vnd.docker.reference."))
	}
}

func (t *tree) manifest(m *inspect.Manifest, depth int) {
	t.heading(m, depth)
	switch m.Kind {
	case "index":
		t.digest("index", m.Digest)
		t.text("%s of %s, %s", formName(m.MediaType), census(m.Manifests), terminal.Bytes(m.Size))
	case "image":
		t.digest("manifest", m.Digest)
	default:
		t.digest(m.Kind, m.Digest)
	}
	if m.Kind != "index" {
		t.text("%s", summary(m))
	}
	t.annotations(m.Annotations)
	if !maps.Equal(m.Annotations, m.ManifestAnnotations) {
		t.annotations(m.ManifestAnnotations)
	}
	if m.Error != "" {
		t.text("%s", "error: "+m.Error)
	}
	if m.Config != nil {
		t.digest("config", m.Config.Digest)
	}
	t.layers(m)
	t.entries(m.Manifests, depth+1)
}

// heading writes the name of a manifest, and whether it is the one for this machine.
func (t *tree) heading(m *inspect.Manifest, depth int) {
	name := manifestName(m)
	if m.Chosen {
		note := "  (for this machine)"
		if t.found.Host.Named {
			note = "  (for what was asked for)"
		}
		t.line(strings.Repeat("  ", depth) + t.Green("* "+terminal.Clip(name, width-2-2*depth-len(note))) + note)
		return
	}
	t.line(strings.Repeat("  ", depth) + "  " + t.Bold(terminal.Clip(name, width-2-2*depth)))
}

func (t *tree) layers(m *inspect.Manifest) {
	for i, l := range m.Layers {
		size := terminal.Bytes(l.Size)
		if len(size) >= margin {
			size = "layer"
		}
		t.digest(size, l.Digest)
		if l.MediaType != t.form && (i+1 == len(m.Layers) || m.Layers[i+1].MediaType != l.MediaType) {
			t.text("%s", l.MediaType)
			t.form = l.MediaType
		}
		if t.diffIDs && l.DiffID != "" {
			t.digest("diffID", l.DiffID)
		}
		t.foreign(l)
		t.annotations(l.Annotations)
	}
}

// foreign writes that a layer may be missing, and other places for it.
func (t *tree) foreign(l inspect.Layer) {
	if l.Foreign {
		t.text("foreign: may be missing where its image is")
	}
	for _, u := range l.URLs {
		t.text("from %s", u)
	}
}

func (t *tree) annotations(annotations map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if annotations[key] == "" {
			continue
		}
		for _, l := range terminal.WrapLines(strings.TrimSpace(key+": "+annotations[key]), width-margin, 6) {
			t.line(strings.Repeat(" ", margin) + t.Dim(l))
		}
	}
}

// digest writes a digest, which is never cut, so that it can be copied. One of sha512 is
// longer than a line.
func (t *tree) digest(label string, d digest.Digest) {
	t.line(fmt.Sprintf("%*s %s", margin-1, label, t.Yellow(terminal.Escape(string(d)))))
}

func (t *tree) text(format string, args ...any) {
	for _, l := range terminal.WrapLines(fmt.Sprintf(format, args...), width-margin, mostLines) {
		t.line(strings.Repeat(" ", margin) + l)
	}
}

func (t *tree) line(text string) { t.WriteString(text + "\n") }
