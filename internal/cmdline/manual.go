// SPDX-License-Identifier: Apache-2.0

package cmdline

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// A Page is a man page: its file's name, such as "layerctl-pull.1", and its
// text for troff with the man macros, in ASCII.
type Page struct {
	Name string
	Text string
}

// Manual makes the man pages: one for the program, and one a command. They are
// of section 1 and bear no date.
func (p Program) Manual() []Page {
	pages := []Page{{p.Name + ".1", p.overview()}}
	for _, c := range p.Commands {
		pages = append(pages, Page{p.Name + "-" + c.Name + ".1", p.page(c)})
	}
	return pages
}

func (p Program) overview() string {
	var r roff
	r.title(p.Name, p.Name)
	r.section("NAME")
	r.line(p.Name + " - " + p.Usage)
	r.section("SYNOPSIS")
	r.synopsis(p.Name, "COMMAND [FLAGS] [ARGUMENTS]")
	r.section("DESCRIPTION")
	r.text(p.Description)
	r.examples(p.Examples)
	r.section("COMMANDS")
	for _, c := range p.Commands {
		r.item(r.bold(p.Name+"-"+c.Name)+"(1)", c.Usage)
	}
	r.section("FLAGS")
	r.line("Every command takes them, and they may stand anywhere.")
	r.flags(p.Flags)
	r.common(p, p.Flags)
	return r.String()
}

func (p Program) page(c Command) string {
	var r roff
	name := p.Name + "-" + c.Name
	r.title(name, p.Name)
	r.section("NAME")
	r.line(name + " - " + c.Usage)
	r.section("SYNOPSIS")
	r.synopsis(p.Name+" "+c.Name, strings.TrimSpace("[FLAGS] "+c.Arguments))
	if c.Description != "" {
		r.section("DESCRIPTION")
		r.text(c.Description)
	}
	r.examples(c.Examples)
	if len(c.Flags) > 0 {
		r.section("FLAGS")
		r.flags(limitsLast(c.Flags))
	}
	r.common(p, slices.Concat(c.Flags, p.Flags))
	r.section("SEE ALSO")
	r.raw(r.bold(p.Name) + "(1), for the flags that every command takes")
	return r.String()
}

// roff is a page being written.
type roff struct{ strings.Builder }

func (r *roff) raw(line string)      { r.WriteString(line + "\n") }
func (r *roff) line(text string)     { r.raw(escape(text)) }
func (r *roff) section(name string)  { r.raw(".SH " + name) }
func (r *roff) bold(s string) string { return `\fB` + escape(s) + `\fR` }
func (r *roff) emph(s string) string { return `\fI` + escape(s) + `\fR` }
func (r *roff) title(name, of string) {
	fmt.Fprintf(r, ".TH %q 1 \"\" %q\n", strings.ToUpper(name), of)
}

func (r *roff) synopsis(command, rest string) { r.raw(r.bold(command) + " " + escape(rest)) }

// item is a term with what is said of it.
func (r *roff) item(term, said string) {
	r.raw(".TP")
	r.raw(term)
	r.line(said)
}

func (r *roff) flags(flags []Flag) {
	for _, f := range flags {
		var names []string
		for _, n := range f.dashed() {
			names = append(names, r.bold(n))
		}
		term := strings.Join(names, ", ")
		if f.Value != "" {
			term += " " + r.emph(f.Value)
		}
		said := f.Usage
		if f.Default != "" {
			said += fmt.Sprintf(" (default: %s)", f.Default)
		}
		r.item(term, said)
	}
}

// common are the sections that all pages have.
func (r *roff) common(p Program, flags []Flag) {
	r.items("EXIT STATUS", p.Exits)
	r.items("FILES", p.Files)
	environment := slices.Clone(p.Environment)
	for _, f := range flags {
		for _, name := range f.Env {
			environment = append(environment, Item{name, "the value of " + f.dashed()[0] + " where that is not given"})
		}
	}
	sort.SliceStable(environment, func(i, j int) bool { return environment[i].Term < environment[j].Term })
	r.items("ENVIRONMENT", environment)
}

// items is a section of terms, none where there are none.
func (r *roff) items(section string, list []Item) {
	if len(list) > 0 {
		r.section(section)
	}
	for _, i := range list {
		r.item(r.bold(i.Term), i.Said)
	}
}

func (r *roff) examples(list []Item) {
	if len(list) > 0 {
		r.section("EXAMPLES")
	}
	for i, e := range list {
		if i > 0 {
			r.raw(".PP")
		}
		r.line(e.Said)
		r.raw(".PP")
		r.raw(".nf")
		r.line("  " + e.Term)
		r.raw(".fi")
	}
}

// text is a description: paragraphs, of which some keep their lines.
func (r *roff) text(s string) {
	for i, paragraph := range strings.Split(strings.Trim(s, "\n"), "\n\n") {
		lines := strings.Split(paragraph, "\n")
		keep := slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, " ") })
		if i > 0 {
			r.raw(".PP")
		}
		if keep {
			r.raw(".nf")
		}
		for _, l := range lines {
			r.line(l)
		}
		if keep {
			r.raw(".fi")
		}
	}
}

// escape makes troff print s as it is: groff(7), "Escape Sequences".
func escape(s string) string {
	var b strings.Builder
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		b.WriteString(`\&`) // else a request
	}
	for _, c := range s {
		switch {
		case c == '\\':
			b.WriteString(`\e`)
		case c == '-':
			b.WriteString(`\-`) // else a hyphen, which a shell does not take
		case c == '…':
			b.WriteString("...")
		case c > 0x7e:
			fmt.Fprintf(&b, `\[u%04X]`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
