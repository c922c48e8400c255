// SPDX-License-Identifier: Apache-2.0

package args

import (
	"fmt"
	"strings"
)

// Grammar describes a program's command line. Its maps have each name of each flag, and
// whether the flag takes a value.
type Grammar struct {
	Global  map[string]bool
	Command func(word string) (name string, flags map[string]bool) // name is "" if word is no command
	Runs    string                                                 // the command whose argument is a program to run
}

// Reorder puts flags before arguments, and global flags before the command. The cli
// package needs that, but people write
//
//	layerctl pull alpine --platform linux/arm/v7 --store /srv
//
// "--" ends the flags. So does the first argument of the command g.Runs, because it is a
// program, and the flags after it are the program's.
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
	flags    map[string]bool // the command's flags
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

// flag adds the flag args[0], with its value, and returns how many words these are. An
// unknown flag is added to the command's, so that the command fails for it.
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

// join returns the command line in the order that the cli package needs.
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
