// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// documents are the texts for users, by their paths below the root.
func documents(t *testing.T) map[string]string {
	texts := map[string]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../bench/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			texts[f] = string(data)
		}
	}
	return texts
}

// TestDocumentsLink holds that what a document links to in this repository is
// there.
func TestDocumentsLink(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	for file, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}

// TestDocumentsNameWhatExists holds that each command line of layerctl in a
// document has a command and flags that exist.
func TestDocumentsNameWhatExists(t *testing.T) {
	app := setUp()
	// A command line ends where its code span, the line or the shell's command does.
	line := regexp.MustCompile("layerctl ([a-z][^`\n]*)")
	found := 0
	for file, text := range documents(t) {
		if strings.HasSuffix(file, "CHANGELOG.md") || strings.HasSuffix(file, "messages.md") {
			continue // it tells what was, and what is wrong
		}
		for _, m := range line.FindAllStringSubmatch(text, -1) {
			if checkCommandLine(t, app, file, m[1]) {
				found++
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d command lines were found", found)
	}
}

// TestHintsNameWhatExists holds that each command line of layerctl in a message of the
// program has a command and flags that exist.
func TestHintsNameWhatExists(t *testing.T) {
	app := setUp()
	line := regexp.MustCompile(`'layerctl ([a-z][^'\n]*)'`)
	found := 0
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			if checkCommandLine(t, app, path, m[1]) {
				found++
			}
		}
		return err
	})
	if err != nil || found < 20 {
		t.Errorf("%d command lines were found: %v", found, err)
	}
}

// checkCommandLine reports whether the words are a command line of layerctl, and
// fails the test for a flag of it that does not exist.
func checkCommandLine(t *testing.T, app *cli.App, file, words string) bool {
	words, _, _ = strings.Cut(words, "|")
	words, _, _ = strings.Cut(words, "&&")
	words, _, _ = strings.Cut(words, " # ")
	words, _, _ = strings.Cut(words, " -- ")
	var command *cli.Command
	flags := app.Flags
	fields := strings.Fields(words)
	for _, word := range fields {
		word = strings.TrimRight(word, `.,;:)"'`)
		if !strings.HasPrefix(word, "-") {
			if command != nil && command.Name == "unshare" {
				return true // the rest is another command's
			}
			if command == nil {
				if command = app.Command(word); command == nil {
					return false // prose, such as "layerctl does"
				}
				flags = slices.Concat(flags, command.Flags)
			}
			continue
		}
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if name != "" && name != "help" && !slices.ContainsFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) }) {
			t.Errorf("%s: layerctl %s: there is no flag %s", file, words, word)
		}
	}
	return command != nil
}
