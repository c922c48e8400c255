// SPDX-License-Identifier: Apache-2.0

package args

import (
	"fmt"
	"slices"
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
	command := ""
	var local map[string]bool
	var before, after, rest []string
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			if command == "" && len(rest) == 0 {
				if command, local = g.Command(arg); command != "" {
					continue
				}
			}
			if command != "" && command == g.Runs {
				rest = append(rest, args[i:]...)
				break
			}
			rest = append(rest, arg)
			continue
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		takesValue, isLocal := local[name]
		isGlobal := false
		if !isLocal {
			takesValue, isGlobal = g.Global[name]
		}
		words := []string{arg}
		if takesValue && !hasValue {
			if i+1 == len(args) {
				return nil, &UsageError{Problem: fmt.Sprintf("flag %s needs a value", arg)}
			}
			i++
			words = append(words, args[i])
		}
		if isGlobal {
			before = append(before, words...)
		} else {
			after = append(after, words...)
		}
	}
	out := slices.Concat(args[:1], before)
	if command != "" {
		out = append(out, command)
	}
	out = append(out, after...)
	if len(rest) > 0 {
		if command != "" {
			out = append(out, "--")
		}
		out = append(out, rest...)
	}
	return out, nil
}
