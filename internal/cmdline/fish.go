// SPDX-License-Identifier: Apache-2.0

package cmdline

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
)

//go:embed fish.tmpl
var fishTemplate string

// Fish writes a completion script for fish 3 or later: to be sourced, or to
// lie as the program's name with ".fish" in a directory of
// $fish_complete_path.
func (p Program) Fish(w io.Writer) error {
	t, err := template.New("fish").Funcs(template.FuncMap{
		"quote":     fishQuote,
		"valued":    func(f []Flag) string { return strings.Join(dashed(f, true), " ") },
		"option":    p.fishOption,
		"arguments": p.fishArguments,
	}).Parse(fishTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

// fishQuote makes one word of s: between single quotes fish knows two escapes.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

// fishAction are the options of complete that say what a word may be.
func (p Program) fishAction(word string) string {
	switch kindOf(word) {
	case directories:
		return " -f -a '(__fish_complete_directories)'"
	case files:
		return " -F"
	case references:
		return " -F -a '(__" + p.Name + "_references)'"
	case programs:
		return " -f -a '(__fish_complete_command)'"
	case choices:
		return " -f -a " + fishQuote(strings.Join(words(word), " "))
	}
	return " -f"
}

// fishOption are the options of complete that say what a flag is.
func (p Program) fishOption(f Flag) string {
	var b strings.Builder
	for _, name := range f.Names {
		if len(name) == 1 {
			fmt.Fprintf(&b, " -s %s", name)
		} else {
			fmt.Fprintf(&b, " -l %s", name)
		}
	}
	if f.Value != "" {
		b.WriteString(" -r" + p.fishAction(f.Value))
	}
	fmt.Fprintf(&b, " -d %s", fishQuote(f.Usage))
	return b.String()
}

// fishArguments are the options of complete for each thing that may follow the
// command; at any place, for fish does not count arguments.
func (p Program) fishArguments(c Command) []string {
	var actions []string
	list, _ := c.arguments()
	for _, word := range list {
		if action := p.fishAction(word); kindOf(word) != anything && !slices.Contains(actions, action) {
			actions = append(actions, action)
		}
	}
	return actions
}
