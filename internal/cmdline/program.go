// SPDX-License-Identifier: Apache-2.0

package cmdline

import (
	"slices"
	"strings"
)

// A Program is a command line. Its texts are plain: in a Description an empty
// line ends a paragraph, and a paragraph with a line that begins with a space
// keeps its lines as they are.
type Program struct {
	Name        string
	Usage       string // half a line, what the program does
	Description string
	Examples    []Item
	Flags       []Flag // those that every command takes
	Commands    []Command
	// Exits, Files and Environment are what holds for all commands: exit codes,
	// files that are read and written, and variables beside those of flags.
	Exits, Files, Environment []Item
	// References is the command that prints the references which the shell offers
	// for REF, one a line; "" is none.
	References string
}

// An Item is a term with what is said of it. Of an example the term is its
// command line.
type Item struct{ Term, Said string }

// A Command is the first argument that is no flag.
type Command struct {
	Name        string
	Usage       string
	Arguments   string // what follows, such as "REF DIR" or "[REF…]"
	Description string
	Examples    []Item
	Flags       []Flag
	// Runs says that the arguments are a command to run, whose flags are its own.
	Runs bool
}

// A Flag is a flag and all its names.
type Flag struct {
	Names []string // without dashes; one letter takes one dash, more take two
	Usage string
	// Value stands for the value; it is empty for a flag that takes none. DIR
	// is a directory, FILE and LIST are files, "a|b" is one of those words.
	Value   string
	Default string   // the value where the flag is not given, empty for none
	Env     []string // variables that set it
	Limit   bool     // it bounds what an image may cost: such flags are listed last
}

// dashed are the flag's names as they are typed.
func (f Flag) dashed() []string {
	var names []string
	for _, n := range f.Names {
		if len(n) == 1 {
			names = append(names, "-"+n)
		} else {
			names = append(names, "--"+n)
		}
	}
	return names
}

// dashed are all names of all flags, or only of those that take a value.
func dashed(flags []Flag, valued bool) []string {
	var names []string
	for _, f := range flags {
		if !valued || f.Value != "" {
			names = append(names, f.dashed()...)
		}
	}
	return names
}

// A kind is what the shell offers for a word.
type kind int

const (
	anything    kind = iota
	directories      // DIR, TARGET
	files            // FILE, LIST
	references       // REF, which may be a path after "oci:" too
	programs         // COMMAND
	choices          // a|b|c
)

// kindOf tells what the shell offers where word stands in a description.
func kindOf(word string) kind {
	word = strings.Trim(word, "[]… ")
	switch {
	case slices.Contains([]string{"DIR", "TARGET"}, word):
		return directories
	case slices.Contains([]string{"FILE", "LIST"}, word):
		return files
	case word == "REF" || strings.HasPrefix(word, "REF:") || strings.HasPrefix(word, "REF["):
		return references
	case word == "COMMAND":
		return programs
	case strings.Contains(word, "|"):
		return choices
	}
	return anything
}

// words are the choices that word stands for.
func words(word string) []string { return strings.Split(strings.Trim(word, "[]…"), "|") }

// arguments are the words for a command's arguments, one each, and whether the
// last one repeats. Of several forms, as in "create NAME | push NAME", the first words
// are the choices.
func (c Command) arguments() (list []string, repeats bool) {
	if forms := strings.Split(c.Arguments, " | "); len(forms) > 1 {
		var first []string
		for _, form := range forms {
			word, _, _ := strings.Cut(form, " ")
			first = append(first, word)
		}
		return []string{strings.Join(slices.Compact(first), "|")}, false
	}
	for _, word := range strings.Fields(c.Arguments) {
		if strings.HasPrefix(word, "[--") {
			break // what follows is for another program
		}
		repeats = strings.Contains(word, "…")
		list = append(list, strings.Trim(word, "[]…"))
	}
	return list, repeats
}
