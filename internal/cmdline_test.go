// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/cmdline"
)

// awkward has what shells and troff would take for something else.
var awkward = cmdline.Program{
	Name:        "tool",
	Usage:       `does it's "job"`,
	Description: ".not a request\n'nor this\n\n  kept  as\n  it stands",
	Flags:       []cmdline.Flag{{Names: []string{"all", "a"}, Usage: "it's [all]: of `it`"}},
	Commands: []cmdline.Command{
		{Name: "run", Usage: "runs", Arguments: "[COMMAND [ARGUMENT…]]", Runs: true},
		{Name: "do", Usage: "does", Arguments: "REF [DIR…]", Flags: []cmdline.Flag{{Names: []string{"as"}, Value: "x|y", Usage: `write \as`, Default: "x", Env: []string{"TOOL_AS"}}}},
	},
}

func TestManualEscapes(t *testing.T) {
	pages := awkward.Manual()
	var names []string
	for _, p := range pages {
		names = append(names, p.Name)
	}
	if want := []string{"tool.1", "tool-run.1", "tool-do.1"}; !slices.Equal(names, want) {
		t.Errorf("got pages %q, want %q", names, want)
	}
	for _, want := range []string{"\n\\&.not a request\n", "\n\\&'nor this\n", ".PP\n.nf\n  kept  as\n  it stands\n.fi\n", `\fB\-\-all\fR, \fB\-a\fR`} {
		if !strings.Contains(pages[0].Text, want) {
			t.Errorf("tool.1 does not have %q:\n%s", want, pages[0].Text)
		}
	}
	for _, want := range []string{`\fB\-\-as\fR \fIx|y\fR`, `write \eas (default: x)`, `\fBTOOL_AS\fR`} {
		if !strings.Contains(pages[2].Text, want) {
			t.Errorf("tool-do.1 does not have %q:\n%s", want, pages[2].Text)
		}
	}
	if !strings.Contains(pages[1].Text, "[COMMAND [ARGUMENT...]]") {
		t.Errorf("tool-run.1 does not tell its arguments:\n%s", pages[1].Text)
	}
}

func TestShellsEscape(t *testing.T) {
	for _, test := range []struct {
		shell string
		write func(*strings.Builder) error
		want  []string
	}{
		{"bash", func(b *strings.Builder) error { return awkward.Bash(b) }, []string{"do:--as) _tool_offer -W 'x y' ;;", "do:*) _tool_paths -d ;;", "do:0) _tool_paths -f; _tool_references ;;"}},
		{"zsh", func(b *strings.Builder) error { return awkward.Zsh(b) }, []string{`'*--all[it'\''s \[all\]\: of ` + "`it`" + `]'`, `'*--as=[write \\as]:value:(x y)'`}},
		{"fish", func(b *strings.Builder) error { return awkward.Fish(b) }, []string{`-l all -s a -d 'it\'s [all]: of ` + "`it`" + `'`, `-l as -r -f -a 'x y' -d 'write \\as'`}},
	} {
		t.Run(test.shell, func(t *testing.T) {
			var b strings.Builder
			if err := test.write(&b); err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("no %q in\n%s", want, b.String())
				}
			}
		})
	}
}
