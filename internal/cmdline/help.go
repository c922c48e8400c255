// SPDX-License-Identifier: Apache-2.0

package cmdline

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

const (
	// helpWidth is what a line of help fits into: the narrowest terminal that is
	// still common.
	helpWidth = 80
	// helpTerm is as wide as a flag may be beside what is said of it.
	helpTerm = 22
	// helpFlag is what a flag's name and value may take of that.
	helpFlag = 26
)

// Overview is the program's own help: its commands and global flags.
func (p Program) Overview() string {
	var h help
	h.paragraph("", p.Name+" - "+p.Usage)
	h.section("Usage")
	h.paragraph("  ", p.Name+" COMMAND [FLAGS] [ARGUMENTS]   (flags may stand anywhere)")
	h.text(p.Description)
	h.section("Commands")
	for _, c := range p.Commands {
		h.item(c.Name, c.Usage, helpTerm-8)
	}
	h.examples(p.Examples)
	h.section("Global flags, for every command")
	h.flags(p.Flags)
	h.section("Exit codes")
	for _, e := range p.Exits {
		h.item(e.Term, e.Said, helpTerm-6)
	}
	h.section("")
	h.paragraph("", fmt.Sprintf("'%s COMMAND --help' tells more of a command.", p.Name))
	return h.String()
}

// Help is the help of a command. The flags that bound what an image may cost
// come last, and the global ones only by name.
func (p Program) Help(c Command) string {
	var h help
	h.paragraph("", p.Name+" "+c.Name+" - "+c.Usage)
	h.section("Usage")
	h.paragraph("  ", strings.TrimSpace(p.Name+" "+c.Name+" [FLAGS] "+c.Arguments))
	h.text(c.Description)
	h.examples(c.Examples)
	flags := limitsLast(c.Flags)
	limits := slices.IndexFunc(flags, func(f Flag) bool { return f.Limit })
	if limits < 0 {
		limits = len(flags)
	}
	if limits > 0 {
		h.section("Flags")
		h.flags(flags[:limits])
	}
	if limits < len(flags) {
		h.section("Limits")
		h.flags(flags[limits:])
	}
	var global []string
	for _, f := range p.Flags {
		global = append(global, f.dashed()[0])
	}
	h.section(fmt.Sprintf("Global flags, see '%s --help'", p.Name))
	h.paragraph("  ", strings.Join(global, ", "))
	return h.String()
}

// limitsLast are the flags in their order, those that are limits behind.
func limitsLast(flags []Flag) []Flag {
	sorted := slices.Clone(flags)
	sort.SliceStable(sorted, func(i, j int) bool { return !sorted[i].Limit && sorted[j].Limit })
	return sorted
}

// help is a page for a terminal being written.
type help struct{ strings.Builder }

func (h *help) section(name string) {
	h.WriteByte('\n')
	if name != "" {
		h.WriteString(name + ":\n")
	}
}

// paragraph breaks text into lines, of which each is indented.
func (h *help) paragraph(indent, text string) {
	for _, l := range fold(text, helpWidth-len(indent)) {
		h.WriteString(indent + l + "\n")
	}
}

// text is a description; a paragraph with an indented line keeps its lines.
func (h *help) text(s string) {
	if s == "" {
		return
	}
	for paragraph := range strings.SplitSeq(strings.Trim(s, "\n"), "\n\n") {
		h.WriteByte('\n')
		if strings.HasPrefix(paragraph, " ") || strings.Contains(paragraph, "\n ") {
			h.WriteString(paragraph + "\n")
			continue
		}
		h.paragraph("", strings.Join(strings.Fields(paragraph), " "))
	}
}

func (h *help) examples(list []Item) {
	if len(list) == 0 {
		return
	}
	h.section("Examples")
	for _, e := range list {
		h.WriteString("  # " + e.Said + "\n  " + e.Term + "\n")
	}
}

func (h *help) flags(flags []Flag) {
	for _, f := range flags {
		// One letter first, as people look for it.
		names := f.dashed()
		slices.SortStableFunc(names, func(a, b string) int { return min(len(a), 3) - min(len(b), 3) })
		term := strings.Join(names, ", ")
		switch {
		case strings.Contains(f.Value, "|"):
			term += " WORD" // the words are in what is said
		case f.Value != "":
			term += " " + f.Value
		}
		said := f.Usage
		if f.Default != "" {
			said += fmt.Sprintf(" (default: %s)", f.Default)
		}
		for _, name := range f.Env {
			said += " [$" + name + "]"
		}
		h.item(term, said, helpFlag)
	}
}

// item is a term with what is said beside it, or below where it is long.
func (h *help) item(term, said string, width int) {
	gap := strings.Repeat(" ", width)
	lines := fold(said, helpWidth-2-width)
	if n := utf8.RuneCountInString(term); n+2 <= width {
		h.WriteString("  " + term + gap[n:] + lines[0] + "\n")
		lines = lines[1:]
	} else {
		h.WriteString("  " + term + "\n")
	}
	for _, l := range lines {
		h.WriteString("  " + gap + l + "\n")
	}
}

// fold breaks text at blanks into lines of so many columns where it can; there
// is one at the least.
func fold(text string, columns int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Split(text, " ") {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			lines = append(lines, line)
			line = word
			continue
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
