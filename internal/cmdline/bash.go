// SPDX-License-Identifier: Apache-2.0

package cmdline

import (
	_ "embed"
	"fmt"
	"io"
	"strings"
	"text/template"
)

//go:embed bash.tmpl
var bashTemplate string

// Bash writes a completion script for bash 4.4 or later. It is to be sourced,
// or to lie as the program's name in bash-completion's directory; it needs
// nothing of bash-completion.
func (p Program) Bash(w io.Writer) error {
	t, err := template.New("bash").Funcs(template.FuncMap{
		"flags":     func(f []Flag) string { return strings.Join(dashed(f, false), " ") },
		"valued":    func(f []Flag) string { return strings.Join(dashed(f, true), " ") },
		"offers":    p.bashOffers,
		"arguments": p.bashArguments,
	}).Parse(bashTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

// bashOffer is the shell code that finds the candidates for a word.
func (p Program) bashOffer(word string) string {
	switch kindOf(word) {
	case directories:
		return fmt.Sprintf("_%s_paths -d", p.Name)
	case files:
		return fmt.Sprintf("_%s_paths -f", p.Name)
	case references:
		return fmt.Sprintf("_%s_paths -f; _%s_references", p.Name, p.Name)
	case programs:
		return fmt.Sprintf("_%s_offer -c", p.Name)
	case choices:
		return fmt.Sprintf("_%s_offer -W '%s'", p.Name, strings.Join(words(word), " "))
	}
	return ""
}

// bashOffers are the branches of a case over COMMAND:FLAG.
func (p Program) bashOffers(command string, flags []Flag) string {
	var b strings.Builder
	for _, f := range flags {
		offer := p.bashOffer(f.Value)
		if offer == "" {
			continue
		}
		var patterns []string
		for _, name := range f.dashed() {
			patterns = append(patterns, command+":"+name)
		}
		fmt.Fprintf(&b, "    %s) %s ;;\n", strings.Join(patterns, " | "), offer)
	}
	return b.String()
}

// bashArguments are the branches of a case over COMMAND:NUMBER.
func (p Program) bashArguments(c Command) string {
	var b strings.Builder
	list, repeats := c.arguments()
	for i, word := range list {
		offer := p.bashOffer(word)
		if offer == "" {
			continue
		}
		pattern := fmt.Sprintf("%s:%d", c.Name, i)
		if repeats && i == len(list)-1 {
			pattern = c.Name + ":*"
		}
		fmt.Fprintf(&b, "    %s) %s ;;\n", pattern, offer)
	}
	return b.String()
}
