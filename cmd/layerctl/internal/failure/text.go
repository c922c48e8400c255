// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"errors"
	"regexp"
	"strings"

	"github.com/layerctl/layerctl/registry"
)

// Line returns the text of an error for a person. It names the reference once, as the
// user wrote it, and each digest once, cut to twelve digits unless verbose is set.
func Line(err error, verbose bool) string {
	text := err.Error()
	// The reference may have a digest, which must not be cut.
	const mark = "\x00"
	typed := ""
	var about *about
	if errors.As(err, &about) {
		typed = about.Reference
		text = markReference(text, typed, mark)
	}
	digests := regexp.MustCompile(`\b(?:sha256|sha512):[0-9a-f]{64,128}\b`)
	text = onceEach(text, digests, digests.FindAllString(typed, -1), verbose)
	if typed == "" {
		return text
	}
	if !strings.Contains(text, mark) {
		return typed + ": " + text
	}
	before, after, _ := strings.Cut(text, mark)
	after = strings.ReplaceAll(after, ": "+mark+": ", ": ")
	after = strings.ReplaceAll(after, ` "`+mark+`"`, "")
	after = strings.ReplaceAll(strings.ReplaceAll(after, " "+mark, ""), mark+": ", "")
	return before + typed + strings.ReplaceAll(after, mark, "it")
}

// markReference replaces the reference in the text, as it was written or in full, by the
// mark.
func markReference(text, typed, mark string) string {
	names := []string{typed}
	if ref, err := registry.Parse(typed); err == nil {
		names = []string{ref.String(), typed}
	}
	for _, name := range names {
		var b strings.Builder
		for {
			at := strings.Index(text, name)
			if at < 0 || name == "" {
				break
			}
			end := at + len(name)
			if isBoundary(text[:at], true) && isBoundary(text[end:], false) {
				b.WriteString(text[:at] + mark)
			} else {
				b.WriteString(text[:end])
			}
			text = text[end:]
		}
		text = b.String() + text
	}
	return text
}

// isBoundary reports whether a name can end before text, or with behind, begin after it.
func isBoundary(text string, behind bool) bool {
	if text == "" {
		return true
	}
	if behind {
		return strings.ContainsAny(text[len(text)-1:], " \"'(")
	}
	return strings.ContainsAny(text[:1], " \"',;)") || strings.HasPrefix(text, ": ")
}

// onceEach removes digests that the text names a second time, or that are in said. The
// first time it cuts a digest to twelve digits, unless whole is set.
func onceEach(text string, pattern *regexp.Regexp, said []string, whole bool) string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, digest := range said {
		seen[digest] = true
	}
	last := 0
	for _, at := range pattern.FindAllStringIndex(text, -1) {
		digest := text[at[0]:at[1]]
		gap, rest := text[last:at[0]], text[at[1]:]
		last = at[1]
		if !seen[digest] {
			seen[digest] = true
			b.WriteString(gap)
			// A pinned reference in quotes is there to be copied.
			named := strings.HasSuffix(gap, `"@`)
			if algorithm, hex, _ := strings.Cut(digest, ":"); !whole && !named {
				digest = algorithm + ":" + hex[:12]
			}
			b.WriteString(digest)
			continue
		}
		begins := gap == "" || strings.HasSuffix(gap, ": ")
		switch {
		case begins && strings.HasPrefix(rest, ": "): // a segment of its own
			b.WriteString(gap)
			last += len(": ")
		case begins:
			b.WriteString(gap + "it")
		case strings.HasSuffix(gap, " "):
			b.WriteString(strings.TrimSuffix(gap, " "))
		default: // in a URL
			b.WriteString(gap + "…")
		}
	}
	return b.String() + text[last:]
}
