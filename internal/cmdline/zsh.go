// SPDX-License-Identifier: Apache-2.0

package cmdline

import (
	_ "embed"
	"fmt"
	"io"
	"strings"
	"text/template"
)

//go:embed zsh.tmpl
var zshTemplate string

// Zsh writes a completion script for zsh's completion system: to be sourced
// after compinit, or to lie as "_" and the program's name in a directory of
// $fpath.
func (p Program) Zsh(w io.Writer) error {
	t, err := template.New("zsh").Funcs(template.FuncMap{
		"describe":  func(c Command) string { return quote(c.Name + ":" + c.Usage) },
		"options":   p.zshOptions,
		"continued": func(lines string) string { return strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", " \\\n") },
		"arguments": p.zshArguments,
	}).Parse(zshTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

// quote makes one word of s for the shells of POSIX.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// zshEscape takes their meaning from the signs that delimit _arguments' specs.
func zshEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, ":", `\:`, "[", `\[`, "]", `\]`).Replace(s)
}

// zshAction is _arguments' message and action for a word.
func (p Program) zshAction(word string) string {
	message := ":" + zshEscape(word) + ":"
	switch kindOf(word) {
	case directories:
		return message + "_files -/"
	case files:
		return message + "_files"
	case references:
		return message + "_" + p.Name + "_references"
	case programs:
		return message + "_command_names -e"
	case choices:
		return ":value:(" + strings.Join(words(word), " ") + ")"
	}
	return message
}

// zshOptions are _arguments' specs, a line each.
func (p Program) zshOptions(flags []Flag, indent string) string {
	var b strings.Builder
	for _, f := range flags {
		for _, name := range f.dashed() {
			spec, action := "*"+name, ""
			if f.Value != "" {
				action = p.zshAction(f.Value)
				if strings.HasPrefix(name, "--") {
					spec += "="
				}
			}
			fmt.Fprintf(&b, "%s%s\n", indent, quote(spec+"["+zshEscape(f.Usage)+"]"+action))
		}
	}
	return b.String()
}

// zshArguments are _arguments' specs for what follows the command.
func (p Program) zshArguments(c Command) string {
	var specs []string
	list, repeats := c.arguments()
	for i, word := range list {
		switch {
		case c.Runs:
			return quote("*::" + word + ":_normal")
		case repeats && i == len(list)-1:
			specs = append(specs, quote("*"+p.zshAction(word)))
		default:
			specs = append(specs, quote(p.zshAction(word)))
		}
	}
	return strings.Join(specs, " ")
}
