// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"errors"
	"regexp"
	"strings"

	"github.com/layerctl/layerctl/registry"
)

// Line is an error as one line for a person: it names the reference as
// they wrote it, once; digests are short, unless verbose, and stand there once.
func Line(err error, verbose bool) string {
	text := err.Error()
	// What was typed may be a digest itself, and is not to be cut.
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

// markReference puts the mark where the text names the reference, as it was
// written or in full.
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

// isBoundary says whether a name may end before the text, or begin behind it.
func isBoundary(text string, behind bool) bool {
	if text == "" {
		return true
	}
	if behind {
		return strings.ContainsAny(text[len(text)-1:], " \"'(")
	}
	return strings.ContainsAny(text[:1], " \"',;)") || strings.HasPrefix(text, ": ")
}

// onceEach leaves out a digest that was said already, and cuts it to twelve
// digits where it is first, unless it shall be whole.
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
			// What names an image in a list of names is there to be copied.
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
