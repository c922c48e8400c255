// SPDX-License-Identifier: Apache-2.0

package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/registry"
)

// Explanation is the output of resolve --json. As with inspect, every key is always there;
// a value that does not exist is "" or null.
type Explanation struct {
	Reference string        `json:"reference"`
	Digest    digest.Digest `json:"digest"` // of the index or manifest that the reference names
	MediaType string        `json:"mediaType"`
	// Pinned is the reference with the digest of the chosen manifest.
	Pinned     string            `json:"pinned"`
	Chosen     digest.Digest     `json:"chosen"`
	Platform   *inspect.Platform `json:"platform"`
	Host       inspect.Host      `json:"host"`
	Candidates []candidate       `json:"candidates"`
	Warnings   []string          `json:"warnings"`
}

// candidate is one entry of the index or of a nested one.
type candidate struct {
	Digest    digest.Digest     `json:"digest"`
	MediaType string            `json:"mediaType"`
	Kind      string            `json:"kind"`
	Platform  *inspect.Platform `json:"platform"`
	Chosen    bool              `json:"chosen"`
	inspect.Verdict
	name string
}

// NewExplanation explains an inspection.
func NewExplanation(found *inspect.Result) (*Explanation, error) {
	e := &Explanation{
		Reference: found.Reference, Digest: found.Digest, MediaType: found.MediaType,
		Chosen: found.Chosen, Host: found.Host, Warnings: found.Warnings, Candidates: []candidate{},
	}
	e.add(found.Manifests)
	if found.Chosen == "" {
		return e, nil
	}
	ref, err := registry.Parse(found.Reference)
	if err != nil {
		return nil, err
	}
	e.Pinned = ref.WithDigest(found.Chosen).String()
	return e, nil
}

func (e *Explanation) add(entries []inspect.Manifest) {
	for i := range entries {
		m := &entries[i]
		e.add(m.Manifests)
		if m.Verdict == nil {
			continue
		}
		e.Candidates = append(e.Candidates, candidate{
			Digest: m.Digest, MediaType: m.MediaType, Kind: m.Kind, Platform: m.Platform,
			Chosen: m.Chosen, Verdict: *m.Verdict, name: manifestName(m),
		})
		if m.Chosen {
			e.Platform = m.Platform
		}
	}
}

// JSON prints one object.
func (e *Explanation) JSON(w io.Writer) error { return terminal.WriteJSON(w, e) }

// Text prints the explanation for people. Its last line is the pinned reference.
func (e *Explanation) Text(w io.Writer) error {
	p := terminal.NewPainter(w)
	var b strings.Builder
	line := func(indent int, text string) {
		for _, l := range terminal.WrapLines(text, width-indent, mostLines) {
			b.WriteString(strings.Repeat(" ", indent) + l + "\n")
		}
	}
	line(0, "for "+hostName(e.Host))
	for _, f := range e.Host.Facts {
		line(2, fmt.Sprintf("%s: %s (%s)", f.Name, f.Value, f.Source))
	}
	if e.Host.Warning != "" {
		line(2, "warning: "+e.Host.Warning)
	}
	for _, c := range e.Candidates {
		b.WriteString("\n" + c.heading(p) + "\n")
		line(2, c.Reason)
		line(2, string(c.Digest))
	}
	if e.Pinned != "" {
		b.WriteString("\n" + p.Bold(terminal.Escape(e.Pinned)) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *candidate) heading(p terminal.Painter) string {
	name := terminal.Clip(c.name, width-20)
	switch {
	case c.Chosen:
		return p.Green("* "+name) + "  chosen"
	case c.Accepted:
		return "+ " + p.Bold(name) + fmt.Sprintf("  runs, place %d", c.Rank)
	default:
		return "- " + p.Dim(name) + "  refused"
	}
}
