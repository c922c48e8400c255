// SPDX-License-Identifier: Apache-2.0

package args

import (
	"fmt"
	"strings"
)

// Grammar is what a program's command line may have. Flags are by each of
// their names, and true where they take a value.
type Grammar struct {
	Global  map[string]bool
	Command func(word string) (name string, flags map[string]bool) // "" is none
	Runs    string                                                 // the command that runs a program
}

// Reorder puts flags before the arguments they follow, as the cli package
// wants them: it stops looking for flags at the first argument, and takes a
// global flag only before the command. People write
//
//	layerctl pull alpine --platform linux/arm/v7 --store /srv
//
// "--" ends the flags, as everywhere, and so does the first argument of the
// command g.Runs: it is a program, and the flags after it are its own.
func Reorder(args []string, g Grammar) ([]string, error) {
	l := line{grammar: g}
	for i := 1; i < len(args); {
		switch arg := args[i]; {
		case arg == "--":
			l.operands = append(l.operands, args[i+1:]...)
			return l.join(args[0]), nil
		case strings.HasPrefix(arg, "-") && arg != "-":
			words, err := l.flag(args[i:])
			if err != nil {
				return nil, err
			}
			i += words
			continue
		case l.isCommand(arg):
		case l.command != "" && l.command == g.Runs:
			l.operands = append(l.operands, args[i:]...)
			return l.join(args[0]), nil
		default:
			l.operands = append(l.operands, arg)
		}
		i++
	}
	return l.join(args[0]), nil
}

// line is a command line, sorted into its parts.
type line struct {
	grammar  Grammar
	global   []string // flags before the command, with their values
	command  string
	flags    map[string]bool // those that the command has
	own      []string        // flags after the command, with their values
	operands []string
}

// isCommand reports whether word is the command, which comes before all operands.
func (l *line) isCommand(word string) bool {
	if l.command != "" || len(l.operands) > 0 {
		return false
	}
	l.command, l.flags = l.grammar.Command(word)
	return l.command != ""
}

// flag takes the flag args[0], with its value, and returns how many words it took.
// Flags that nobody knows belong to the command, which refuses them.
func (l *line) flag(args []string) (words int, err error) {
	name, _, hasValue := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
	takesValue, isOwn := l.flags[name]
	isGlobal := false
	if !isOwn {
		takesValue, isGlobal = l.grammar.Global[name]
	}
	words = 1
	if takesValue && !hasValue {
		words = 2
	}
	if words > len(args) {
		return 0, &UsageError{Problem: fmt.Sprintf("flag %s needs a value", args[0])}
	}
	if isGlobal {
		l.global = append(l.global, args[:words]...)
	} else {
		l.own = append(l.own, args[:words]...)
	}
	return words, nil
}

// join returns the line as the cli package wants it.
func (l *line) join(program string) []string {
	out := append([]string{program}, l.global...)
	if l.command != "" {
		out = append(out, l.command)
	}
	out = append(out, l.own...)
	if len(l.operands) > 0 && l.command != "" {
		out = append(out, "--")
	}
	return append(out, l.operands...)
}
