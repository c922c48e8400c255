// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

// flagsOf are the names that flags have on the command line.
func flagsOf(flags []cli.Flag) []string {
	var names []string
	for _, f := range flags {
		for _, n := range f.Names() {
			names = append(names, "-"+strings.Repeat("-", min(1, len(n)-1))+n)
		}
	}
	return names
}

// setUp is the app with what the cli package adds to it.
func setUp() *cli.App { return newApp(strings.NewReader(""), io.Discard, io.Discard) }

// completionScript is what layerctl prints, and the file it is in.
func completionScript(t *testing.T, shell string) (text, file string) {
	t.Helper()
	var out, said bytes.Buffer
	if code := run([]string{"layerctl", "completion", shell}, nil, &out, &said); code != 0 {
		t.Fatalf("completion %s: exit %d: %s", shell, code, said.String())
	}
	file = filepath.Join(t.TempDir(), "layerctl."+shell)
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return out.String(), file
}

// shellPath skips the test where there is no such shell.
func shellPath(t *testing.T, shell string) string {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("needs %s", shell)
	}
	return path
}

// candidates are what a shell offers for the last word of a command line.
type candidates func(t *testing.T, line ...string) []string

func lines(t *testing.T, c *exec.Cmd) []string {
	t.Helper()
	out, err := c.Output()
	if err != nil {
		var said []byte
		if exit, ok := err.(*exec.ExitError); ok {
			said = exit.Stderr
		}
		t.Fatalf("%q: %v: %s", c.Args, err, said)
	}
	return strings.Fields(string(out))
}

// inBash asks the script as readline does: for words that are split at = and :.
func inBash(t *testing.T) candidates {
	bash := shellPath(t, "bash")
	_, file := completionScript(t, "bash")
	const ask = `set -u; source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _layerctl; printf '%s\n' "${COMPREPLY[@]}"`
	return func(t *testing.T, line ...string) []string {
		t.Helper()
		var words []string
		for _, word := range line {
			words = append(words, strings.Fields(strings.NewReplacer("=", " = ", ":", " : ").Replace(word))...)
			if word == "" {
				words = append(words, "")
			}
		}
		command := exec.Command(bash, append([]string{"-c", ask, "bash", file}, words...)...)
		command.Dir = t.TempDir()
		for _, name := range []string{"dir", "file"} {
			if err := os.Mkdir(filepath.Join(command.Dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(command.Dir, "file", "inner"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return lines(t, command)
	}
}

// inFish asks fish itself.
func inFish(t *testing.T) candidates {
	fish := shellPath(t, "fish")
	_, file := completionScript(t, "fish")
	return func(t *testing.T, line ...string) []string {
		t.Helper()
		command := exec.Command(fish, "--no-config", "-c", `source $argv[1]; complete -C $argv[2] | string split -f 1 \t; true`, file, strings.Join(line, " "))
		command.Env = append(os.Environ(), "HOME="+t.TempDir())
		return lines(t, command)
	}
}

// TestCompletionOffersEverything asks for each command, each flag of it and
// each global one; the short form asks bash for the flags of some.
func TestCompletionOffersEverything(t *testing.T) {
	app := setUp()
	for shell, in := range map[string]func(*testing.T) candidates{"bash": inBash, "fish": inFish} {
		t.Run(shell, func(t *testing.T) {
			if shell != "bash" {
				needsFull(t)
			}
			ask := in(t)
			commands := ask(t, "layerctl", "")
			for i, c := range app.VisibleCommands() {
				if !slices.Contains(commands, c.Name) {
					t.Errorf("command %s is not offered among %q", c.Name, commands)
				}
				if !full() && i%8 != 3 {
					continue
				}
				got := ask(t, "layerctl", c.Name, "--")
				for _, flag := range flagsOf(slices.Concat(app.VisibleFlags(), c.VisibleFlags())) {
					if strings.HasPrefix(flag, "--") && !slices.Contains(got, flag) {
						t.Errorf("flag %s of %s is not offered", flag, c.Name)
					}
				}
			}
			if slices.Contains(commands, "manual") {
				t.Error("a hidden command is offered")
			}
		})
	}
}

func TestCompletionInBash(t *testing.T) {
	ask := inBash(t)
	for i, test := range []struct {
		name string
		line []string
		want []string
	}{
		{"a command", []string{"layerctl", "pul"}, []string{"pull"}},
		{"after a global flag and its value", []string{"layerctl", "--store", "/srv", "pul"}, []string{"pull"}},
		{"after one with =", []string{"layerctl", "--store=/srv", "--quiet", "pul"}, []string{"pull"}},
		{"a flag after an argument", []string{"layerctl", "pull", "alpine", "--keep"}, []string{"--keep-blobs"}},
		{"a flag after an argument with colons", []string{"layerctl", "mount", "host:5000/alpine:3.20", "--vol"}, []string{"--volatile"}},
		{"another command's flag", []string{"layerctl", "images", "--keep"}, nil},
		{"a value of a list", []string{"layerctl", "mount", "--format", "s"}, []string{"sh", "systemd"}},
		{"the same after =", []string{"layerctl", "mount", "--format=s"}, []string{"sh", "systemd"}},
		{"all of it", []string{"layerctl", "--progress", ""}, []string{"auto", "tty", "plain", "json", "none"}},
		{"all of it after =", []string{"layerctl", "--progress="}, []string{"auto", "tty", "plain", "json", "none"}},
		{"a command's value where another has the same flag", []string{"layerctl", "images", "--format", "s"}, nil},
		{"a directory", []string{"layerctl", "--store", ""}, []string{"dir", "file"}},
		{"a path", []string{"layerctl", "--authfile", "file/"}, []string{"file/inner"}},
		{"no path", []string{"layerctl", "--store", "file/"}, nil},
		{"a path in a reference", []string{"layerctl", "pull", "oci:d"}, []string{"dir"}},
		{"the second argument", []string{"layerctl", "mount", "host:5000/alpine:3.20", "file/"}, nil},
		{"a word for an argument", []string{"layerctl", "completion", "z"}, []string{"zsh"}},
		{"the first word of several forms", []string{"layerctl", "index", ""}, []string{"create", "annotate", "push"}},
		{"the word behind it", []string{"layerctl", "index", "push", ""}, nil},
		{"a program", []string{"layerctl", "unshare", "mkdi"}, []string{"mkdir"}},
		{"no flag of ours for a program", []string{"layerctl", "unshare", "sh", "--stor"}, nil},
		{"no flag after --", []string{"layerctl", "pull", "--", "--stor"}, nil},
	} {
		if !full() && i%3 != 0 {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			got := ask(t, test.line...)
			slices.Sort(got)
			slices.Sort(test.want)
			if !slices.Equal(slices.Compact(got), test.want) {
				t.Errorf("%q: got %q, want %q", test.line, got, test.want)
			}
		})
	}
}

func TestCompletionInFish(t *testing.T) {
	ask := inFish(t)
	for i, test := range []struct {
		line []string
		want []string
	}{
		{[]string{"layerctl", "pul"}, []string{"pull"}},
		{[]string{"layerctl", "--store", "/srv", "pul"}, []string{"pull"}},
		{[]string{"layerctl", "pull", "alpine", "--keep"}, []string{"--keep-blobs"}},
		{[]string{"layerctl", "images", "--keep"}, nil},
		{[]string{"layerctl", "mount", "--format", "s"}, []string{"sh", "systemd"}},
		{[]string{"layerctl", "completion", "z"}, []string{"zsh"}},
		{[]string{"layerctl", "index", "ann"}, []string{"annotate"}},
	} {
		if !full() && i%3 != 2 {
			continue
		}
		if got := ask(t, test.line...); !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.line, got, test.want)
		}
	}
}

// TestCompletionInZsh reads the script with zsh, in the full form runs it in a
// terminal, and looks for every command and flag in it.
func TestCompletionInZsh(t *testing.T) {
	text, file := completionScript(t, "zsh")
	app := setUp()
	for _, c := range app.VisibleCommands() {
		_, block, found := strings.Cut(text, "\n        "+c.Name+")\n")
		block, _, _ = strings.Cut(block, ";;")
		if !found || !strings.Contains(text, "\n    '"+c.Name+":") {
			t.Errorf("command %s is not in it", c.Name)
		}
		if c.Name == "help" {
			continue // the cli package gives it flags when it first runs, for all the process
		}
		for _, flag := range flagsOf(c.VisibleFlags()) {
			if !strings.Contains(block, "'*"+flag+"[") && !strings.Contains(block, "'*"+flag+"=[") {
				t.Errorf("flag %s of %s is not in it", flag, c.Name)
			}
		}
	}
	for _, flag := range flagsOf(app.VisibleFlags()) {
		if !strings.Contains(text, "\n    '*"+flag+"[") && !strings.Contains(text, "\n    '*"+flag+"=[") {
			t.Errorf("flag %s is not in it", flag)
		}
	}
	zsh := shellPath(t, "zsh")
	if out, err := exec.Command(zsh, "-f", "-n", file).CombinedOutput(); err != nil {
		t.Fatalf("zsh: %v: %s", err, out)
	}
	if !full() {
		return // zsh looks through all functions that it has, which takes as long as 50 commands
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	args, want := []string{"-f", "testdata/complete.zsh", file}, []string{}
	for _, test := range [][2]string{
		{"layerctl --store /srv pul", "pull"},
		{"layerctl pull alpine --keep-", "--keep-blobs"},
		{"layerctl images --keep", ""},
		{"layerctl mount --format=sys", "--format=systemd"},
		{"layerctl completion z", "zsh"},
		{"layerctl bundle alpine box --volu", "--volumes"},
	} {
		args, want = append(args, test[0]), append(want, test[1])
	}
	out, err := exec.CommandContext(ctx, zsh, args...).Output()
	got := strings.Split(strings.ReplaceAll(string(out), " \n", "\n"), "\n")
	if err != nil || !slices.Equal(got[:len(got)-1], want) {
		t.Errorf("for %q: %v: got %q, want %q", args[3:], err, got, want)
	}
}

// TestManual looks for every command and flag in the man pages.
func TestManual(t *testing.T) {
	dir := t.TempDir()
	if code := run([]string{"layerctl", "manual", dir}, nil, io.Discard, os.Stderr); code != 0 {
		t.Fatalf("exit %d", code)
	}
	page := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	mustHave := func(text, page, what string) {
		t.Helper()
		if what = strings.ReplaceAll(what, "-", `\-`); !strings.Contains(text, what) {
			t.Errorf("%s does not have %q", page, what)
		}
	}
	app := setUp()
	overview := page("layerctl.1")
	for _, flag := range flagsOf(app.VisibleFlags()) {
		mustHave(overview, "layerctl.1", `\fB`+flag+`\fR`)
	}
	for _, c := range app.VisibleCommands() {
		mustHave(overview, "layerctl.1", `\fBlayerctl-`+c.Name+`\fR(1)`)
		text := page("layerctl-" + c.Name + ".1")
		if c.Name != "help" { // which the cli package has its own words for
			mustHave(text, c.Name, c.Usage)
		}
		for _, flag := range flagsOf(slices.DeleteFunc(c.VisibleFlags(), func(f cli.Flag) bool { return f == cli.HelpFlag })) {
			mustHave(text, c.Name, `\fB`+flag+`\fR`)
		}
		for _, section := range []string{"EXAMPLES", "EXIT STATUS", "FILES", "ENVIRONMENT"} {
			mustHave(text, c.Name, "\n.SH "+section+"\n")
			mustHave(overview, "layerctl.1", "\n.SH "+section+"\n")
		}
	}
	man, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("needs mandoc to read the pages")
	}
	// A page without a date is meant: it is the same whenever it is made.
	pages, _ := filepath.Glob(filepath.Join(dir, "*.1"))
	out, _ := exec.Command(man, append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "missing date") {
			t.Error(strings.TrimSpace(line))
		}
	}
}

// TestCompletionOfReferences asks for what is in the store, of which a name is
// one that a shell would run a command of.
func TestCompletionOfReferences(t *testing.T) {
	t.Setenv("LAYERCTL_STORE", filepath.Join(t.TempDir(), "store"))
	s := serve(t, nil)
	push(t, s, "hello", "latest", helloLayout)
	output(t, "pull", "--quiet", "--platform", "linux/amd64", "--plain-http", s.host, s.host+"/hello")
	evil := filepath.Join(t.TempDir(), "evil$(touch made)")
	if err := os.CopyFS(evil, os.DirFS(helloLayout)); err != nil {
		t.Fatal(err)
	}
	output(t, "pull", "--quiet", "--platform", "linux/amd64", "oci:"+evil)
	ref := s.host + "/hello:latest"
	t.Run("bash", func(t *testing.T) {
		ask := inBash(t)
		for line, want := range map[string]string{"mount " + s.host[:8]: ref, "rm x " + s.host + "/hello:la": "latest", "inspect oci": "oci:" + evil} {
			if got := strings.Join(ask(t, strings.Fields("layerctl "+line)...), " "); got != want {
				t.Errorf("%s: got %q, want %q", line, got, want)
			}
		}
	})
	t.Run("fish", func(t *testing.T) {
		needsFull(t)
		ask := inFish(t)
		for line, want := range map[string]string{"mount " + s.host[:8]: ref, "rm x " + s.host + "/hello:la": ref} {
			if got := strings.Join(ask(t, strings.Fields("layerctl "+line)...), " "); got != want {
				t.Errorf("%s: got %q, want %q", line, got, want)
			}
		}
	})
	t.Run("zsh", func(t *testing.T) {
		needsFull(t)
		zsh := shellPath(t, "zsh")
		_, file := completionScript(t, "zsh")
		out, err := exec.CommandContext(t.Context(), zsh, "-f", "testdata/complete.zsh", file, "layerctl mount "+s.host[:8], "layerctl rm x "+s.host+"/hello:la").Output()
		if got := strings.Fields(string(out)); err != nil || !slices.Equal(got, []string{ref, ref}) {
			t.Errorf("%v: got %q, want %q twice", err, got, ref)
		}
	})
}
