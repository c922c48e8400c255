// SPDX-License-Identifier: Apache-2.0

package show

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"
)

// Referrers prints what belongs to an index and to each image that was asked about, with
// what its authors claim and where it was found.
func Referrers(w io.Writer, found *inspect.Result) error {
	t := &tree{Painter: terminal.NewPainter(w), found: found}
	t.name()
	if found.Kind == "index" {
		t.digest("index", found.Digest)
		t.text("%s of %s, %s", formName(found.MediaType), census(found.Manifests), terminal.Bytes(found.Size))
		t.referrers(found.Referrers, false)
	}
	for _, m := range leavesOf(found.Manifests) {
		if m.Kind == "attestation" || m.Referrers == nil && found.Kind == "index" {
			continue
		}
		t.line("")
		t.heading(m, 0)
		t.digest("manifest", m.Digest)
		t.referrers(m.Referrers, false)
		if len(m.Referrers) == 0 {
			t.text("nothing belongs to it")
		}
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// referrerLabels are short enough for the margin before a digest.
var referrerLabels = map[string]string{
	"signature": "signed", "sbom": "sbom", "provenance": "built", "attestation": "attest", "artifact": "artifact",
}

func (t *tree) referrers(list []inspect.Referrer, below bool) {
	for _, r := range list {
		label := referrerLabels[r.Kind]
		if below {
			label = "- " + label
		}
		d := r.Digest
		if d == "" {
			d = r.Manifest
		}
		t.digest(label, d)
		t.text("%s", referrerWords(r))
		if r.Claimed != "" {
			t.text("claims to be by %s", r.Claimed)
		}
		if r.Error != "" {
			t.text("not believed: %s", r.Error)
		}
		if r.Kind == "signature" {
			t.text("%s", checked(r.Checked))
		}
		t.referrers(r.Referrers, true)
	}
}

func checked(c *inspect.Checked) string {
	switch {
	case c == nil:
		return "not checked"
	case !c.Holds:
		return "checked: " + c.Reason
	}
	text := "checked: by key " + terminal.Short(digest.Digest(c.Key))
	if c.Reference != "" {
		text += fmt.Sprintf(", it calls the image %q", c.Reference)
	}
	return text
}

// referrerWords says what a referrer is, when it was made, and where it was found.
func referrerWords(r inspect.Referrer) string {
	var words []string
	for _, word := range []string{r.PredicateType, r.Form} {
		if word != "" {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		words = []string{cmp.Or(r.ArtifactType, r.MediaType)}
	}
	words = append(words, terminal.Bytes(r.Size))
	if r.Created != "" {
		words = append(words, "created "+r.Created)
	}
	return strings.Join(append(words, referrerPlace(r)), ", ")
}

func referrerPlace(r inspect.Referrer) string {
	switch {
	case r.Place == "index":
		return "in the index"
	case r.Place == "referrers":
		return "by the referrers API"
	case r.Place == "fallback tag":
		return "by the fallback tag of referrers"
	case strings.Contains(r.Tag, "."):
		return "by cosign's tag " + r.Tag[strings.LastIndex(r.Tag, "."):]
	}
	return "by the tag " + r.Tag
}
