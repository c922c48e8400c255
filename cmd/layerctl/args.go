// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder puts flags before the arguments they follow, as the cli package
// wants them: it stops looking for flags at the first argument, and takes a
// global flag only before the command. People write
//
//	layerctl pull alpine --platform linux/arm/v7 --store /srv
//
// "--" ends the flags, as everywhere, and so does the command that unshare runs:
// the flags after it are its own.
func reorder(app *cli.App, args []string) ([]string, error) {
	global := flagNames(app.Flags)
	var command *cli.Command
	var local map[string]bool
	var before, after, rest []string
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			if command == nil && len(rest) == 0 {
				if command = app.Command(arg); command != nil {
					local = flagNames(command.Flags)
					continue
				}
			}
			if command != nil && command.Name == unshareName {
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
			takesValue, isGlobal = global[name]
		}
		words := []string{arg}
		if takesValue && !hasValue {
			if i+1 == len(args) {
				return nil, &usageError{problem: fmt.Sprintf("flag %s needs a value", arg)}
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
	if command != nil {
		out = append(out, command.Name)
	}
	out = append(out, after...)
	if len(rest) > 0 {
		if command != nil {
			out = append(out, "--")
		}
		out = append(out, rest...)
	}
	return out, nil
}

// flagNames maps each name of each flag to whether it takes a value.
func flagNames(flags []cli.Flag) map[string]bool {
	names := map[string]bool{}
	for _, f := range flags {
		takes := false
		if d, ok := f.(cli.DocGenerationFlag); ok {
			takes = d.TakesValue()
		}
		for _, n := range f.Names() {
			names[n] = takes
		}
	}
	return names
}
