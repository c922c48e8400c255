// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/userns"
)

func TestMain(m *testing.M) {
	userns.Continue()
	commands := map[string]func(){"layerctl": main, args.HelperName: main}
	if commands[filepath.Base(os.Args[0])] == nil && isThis("layerctl") && isThis(args.HelperName) {
		commands = nil // the process above, see disktest.Apart, has put them into $PATH
	}
	testscript.Main(apart{m}, commands)
}

// isThis says whether a command is this very program.
func isThis(command string) bool {
	path, err := exec.LookPath(command)
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	self, err := os.Stat("/proc/self/exe")
	return err == nil && os.SameFile(there, self)
}

// apart runs the tests with a store of their own, also where none is named.
type apart struct{ *testing.M }

func (m apart) Run() int {
	disktest.DefaultSignals()
	return disktest.Apart(m.run)
}

func (m apart) run() int {
	dir, err := os.MkdirTemp("", "layerctl-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("LAYERCTL_STORE", filepath.Join(dir, "store")); err != nil {
		panic(err)
	}
	// What nohup or a shell's & lets this process ignore its children would ignore
	// too, and wait for ever. A signal that is caught is theirs by default again.
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	return m.M.Run()
}

// full says that tests run all of their cases, not only some of each kind.
func full() bool { return os.Getenv("LAYERCTL_FULL") == "1" }

// TestScripts runs the command as its users do. In a script HELLO is the
// hello image's layout, STORE an empty place for a store, and REGISTRY the
// address of a registry over plain HTTP that has the same image as hello:latest.
// FOREIGN has an image without its layer, see serveForeign, and SIGNED images
// that are signed by KEYS, see serveSigned.
//
// The short form starts each command with what it is for, and has each exit code
// once: TestShortScripts holds it to that. LAYERCTL_FULL=1, the condition "full", runs
// what it leaves out: more flags, sources and forms of the same commands, what else
// they refuse, what comes after damage, and the scripts in slow.
func TestScripts(t *testing.T) { runScripts(t, false) }

// TestMountScripts runs those that mount, one after the other and after all
// others, several of which make namespaces: where the kernel shows no path of a
// store, a mount of the same image from another one is in doubt, and nothing of
// the image is removed.
func TestMountScripts(t *testing.T) { runScripts(t, true) }

// slow are the scripts that take seconds; LAYERCTL_FULL=1 runs them too.
var slow = map[string]bool{
	"archives.txtar": true, "digests.txtar": true, "export.txtar": true, "foreign.txtar": true,
	"mount-formats.txtar": true, "references.txtar": true, "single.txtar": true, "sync-drops.txtar": true,
}

// needsFull is for tests that take seconds.
func needsFull(t *testing.T) {
	t.Helper()
	if !full() {
		t.Skip("takes seconds: LAYERCTL_FULL=1 runs it")
	}
}

// mounting says whether a script mounts an image.
func mounting(name string) bool {
	return strings.HasPrefix(name, "mount") || name == "bundle.txtar" || name == "unshare.txtar"
}

// scriptFiles are the scripts of the one form or the other.
func scriptFiles(t *testing.T, full bool) (names []string) {
	t.Helper()
	all, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(name string) bool { return !full && slow[filepath.Base(name)] })
}

// TestShortScripts holds that the short form of the scripts starts each command, and
// sees each exit code.
func TestShortScripts(t *testing.T) {
	var started string
	for _, name := range scriptFiles(t, false) {
		text, _, _ := strings.Cut(string(readFile(t, name)), "\n[!full] stop\n")
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "[full]") {
				started += line
			}
		}
	}
	for _, c := range setUp().VisibleCommands() {
		if c.Name != "help" && !regexp.MustCompile(`(?m)layerctl (.* )?`+c.Name+`( |$)`).MatchString(started) {
			t.Errorf("no script starts %s", c.Name)
		}
	}
	for code := 1; code <= 9; code++ {
		if !strings.Contains(started, fmt.Sprintf("exits %d layerctl", code)) {
			t.Errorf("no script sees exit code %d", code)
		}
	}
}

func runScripts(t *testing.T, mounts bool) {
	scripts := slices.DeleteFunc(scriptFiles(t, full()), func(name string) bool { return mounting(filepath.Base(name)) != mounts })
	hello, err := filepath.Abs("../../testdata/images/hello")
	if err != nil {
		t.Fatal(err)
	}
	served := serve(t, nil)
	push(t, served, "hello", "latest", hello)
	foreign, elsewhere := serveForeign(t)
	signed, keys := serveSigned(t)
	params := testscript.Params{
		Files: scripts,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HELLO", hello)
			env.Setenv("REGISTRY", served.host)
			env.Setenv("FOREIGN", foreign)
			env.Setenv("ELSEWHERE", elsewhere)
			env.Setenv("SIGNED", signed)
			env.Setenv("KEYS", keys)
			env.Setenv("STORE", filepath.Join(env.WorkDir, "store"))
			env.Setenv("LAYERCTL_STORE", filepath.Join(env.WorkDir, "store"))
			env.Setenv("DOCKER_CONFIG", env.WorkDir)
			return nil
		},
		Condition: func(condition string) (bool, error) {
			switch condition {
			case "full":
				return full(), nil
			case "root":
				return os.Geteuid() == 0, nil
			case "userns":
				probe := exec.Command("true")
				probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS}
				return probe.Run() == nil, nil
			}
			return false, fmt.Errorf("there is no condition %q", condition)
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"corrupt": corrupt, "asline": asLine, "exits": exits},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	}
	if !mounts {
		testscript.Run(t, params)
		return
	}
	for _, script := range scripts {
		params.Files = []string{script}
		// It returns when the script has ended.
		t.Run("scripts", func(t *testing.T) { testscript.Run(t, params) })
	}
}

// corrupt FILE flips a bit in the middle of a file.
func corrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: corrupt FILE")
	}
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(name, b, 0o644))
}

// exits CODE COMMAND asserts with what code a command ends; what it wrote is for
// stdout and stderr.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG ...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	if code, ok := err.(*exec.ExitError); !ok || fmt.Sprint(code.ExitCode()) != args[0] {
		ts.Fatalf("got %v, want exit code %s", err, args[0])
	}
}

// asLine asserts that the last command wrote one line of error to standard
// error, and nothing that is not a line of the command's own.
func asLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: asline")
	}
	for _, line := range strings.Split(strings.TrimSuffix(ts.ReadFile("stderr"), "\n"), "\n") {
		if !strings.HasPrefix(line, "layerctl: ") {
			ts.Fatalf("not a line for people: %q", line)
		}
	}
	if n := strings.Count(ts.ReadFile("stderr"), "layerctl: error: "); n != 1 {
		ts.Fatalf("%d lines of error, want 1", n)
	}
}
