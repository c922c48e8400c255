// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// TestHelp holds each help to 80 columns, three examples whose flags exist, and
// no default that is told twice or is none.
func TestHelp(t *testing.T) {
	app := setUp()
	for _, c := range commands() {
		t.Run(c.Name, func(t *testing.T) {
			text := output(t, c.Name, "--help")
			checkDefaults(t, text)
			if c.Hidden {
				return
			}
			checkHelp(t, app, text)
			var found int
			for _, example := range examplesOf(text) {
				if slices.Contains(strings.Fields(example), c.Name) || strings.Contains(example, "layerctl --"+c.Name) {
					found++
				}
			}
			if found < 3 {
				t.Errorf("%d examples with %s, want 3 at least: internal/help/texts/%s.txt has them", found, c.Name, c.Name)
			}
			if !strings.Contains(text, "--platform, ") {
				t.Error("it does not name the global flags")
			}
		})
	}
	text := output(t, "--help")
	checkDefaults(t, text)
	checkHelp(t, app, text)
}

// A default is said once, as it is, and a flag without a value has none.
func checkDefaults(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.Count(line, "(default") > 1 || strings.Contains(line, "(default: 0") || strings.Contains(line, "(default: false)") || strings.Contains(line, "(default for") {
			t.Error(line)
		}
	}
}

func checkHelp(t *testing.T, app *cli.App, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > 80 {
			t.Errorf("more than 80 columns: %q", line)
		}
	}
	folded := strings.Join(strings.Fields(text), " ")
	for _, bad := range []string{"(default: false)", "(default: )", "(default: 0)", ") (default", `""`} {
		if strings.Contains(folded, bad) {
			t.Errorf("it says %q", bad)
		}
	}
	known := flagsOf(app.VisibleFlags())
	for _, c := range app.VisibleCommands() {
		known = append(known, flagsOf(c.VisibleFlags())...)
	}
	// What other programs' flags are named for.
	known = append(known, "--bundle", "--lazy")
	for _, flag := range regexp.MustCompile(`(?:^|[ '(])(--[a-z][-a-z]*)`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, flag[1]) {
			t.Errorf("it names %s, which is no flag", flag[1])
		}
	}
	for _, example := range examplesOf(text) {
		checkExample(t, app, example)
	}
}

// examplesOf are the command lines of a help.
func examplesOf(text string) (lines []string) {
	_, rest, _ := strings.Cut(text, "\nExamples:\n")
	rest, _, _ = strings.Cut(rest, "\n\n")
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// checkExample looks for a command, and for each flag of it, in those that there
// are.
func checkExample(t *testing.T, app *cli.App, example string) {
	t.Helper()
	_, line, found := strings.Cut(example, "layerctl ")
	if !found {
		t.Errorf("example %q is none", example)
		return
	}
	line = regexp.MustCompile(`[|;<>&]|'[^']*'|"[^"]*"`).Split(line, 2)[0]
	words := strings.Fields(line)
	flags := flagNames(app.Flags)
	if command := app.Command(words[0]); command != nil {
		for name, takes := range flagNames(command.Flags) {
			flags[name] = takes
		}
	} else if !strings.HasPrefix(words[0], "-") {
		t.Errorf("example %q has no command", example)
	}
	for _, word := range words {
		if word == "--" || word == "sh" {
			return // what follows is another program's
		}
		if name := strings.TrimLeft(word, "-"); name != word {
			if _, known := flags[name]; !known && len(name) > 0 {
				t.Errorf("example %q has %s, which is no flag of it", example, word)
			}
		}
	}
}

func TestMistypedWords(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"pull --platfrom linux/arm64 x", "did you mean --platform?"},
		{"mount --ux x", "there is no flag --ux"},
		{"pulll x", `did you mean "pull"?`},
		{"pull --platform linux/armv7 x", "did you mean linux/arm/v7?"},
		{"pull --version x", "'layerctl --version' goes without a command"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(append([]string{"layerctl"}, strings.Fields(test.line)...), nil, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%s: exit %d, %s, want %q", test.line, code, &stderr, test.want)
		}
	}
	if got := output(t, "--version"); got != output(t, "version") {
		t.Errorf("--version prints %q", got)
	}
}
