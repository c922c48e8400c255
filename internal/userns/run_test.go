// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/layerctl/layerctl/internal/disktest"
)

// runHelper holds a [Command] as JSON in the environment of a process that
// runs it, so that what the command writes can be looked at.
const runHelper = "USERNS_TEST_COMMAND"

func TestMain(m *testing.M) {
	Continue()
	if raw := os.Getenv(runHelper); raw != "" {
		var c Command
		if err := json.Unmarshal([]byte(raw), &c); err != nil {
			panic(err)
		}
		os.Unsetenv(runHelper)
		code, err := c.Run(context.Background())
		if err != nil {
			fmt.Println(errors.Is(err, ErrUnavailable), err)
			code = 99
		}
		os.Exit(code)
	}
	disktest.DefaultSignals()
	os.Exit(m.Run())
}

// helper is a process that runs c, and is killed after a minute.
func helper(t *testing.T, c Command, env ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, itself)
	cmd.Env = append(append(os.Environ(), env...), runHelper+"="+string(raw))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	return cmd, &out
}

// needsNamespaces skips where the kernel or a container has none for us.
func needsNamespaces(t *testing.T) {
	t.Helper()
	cmd, out := helper(t, Command{Args: []string{"true"}, Mapping: Caller()})
	if err := cmd.Run(); err != nil && strings.HasPrefix(out.String(), "true ") {
		t.Skipf("needs user namespaces: %s", out)
	} else if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func shell(script string) Command {
	return Command{Args: []string{"sh", "-c", script}, Mapping: Caller()}
}

func TestRunAsRootOfANamespace(t *testing.T) {
	needsNamespaces(t)
	target := t.TempDir()
	cmd, out := helper(t, shell(`id -u; id -g; mount -t tmpfs none "$TARGET" 2>&1 && echo mounted; exit 7`), "TARGET="+target)
	_ = cmd.Run() // the code is looked at
	if got, want := out.String(), "0\n0\nmounted\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit code %d, want the command's 7", code)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), target) {
		t.Errorf("the mount is seen outside of the namespace (%v)", err)
	}
}

func TestRunWithPrograms(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: stands in for newuidmap, which is set-user-ID")
	}
	needsNamespaces(t)
	dir := t.TempDir()
	for program, file := range map[string]string{"newuidmap": "uid_map", "newgidmap": "gid_map"} {
		script := "#!/bin/sh\np=$1; shift; printf '%s %s %s\\n' \"$@\" >/proc/$p/" + file + "\n"
		if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ranges := []Range{{0, 0, 1}, {1, 100000, 1000}, {1001, 300000, 5}}
	c := shell("cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '")
	c.Mapping = Mapping{UIDs: ranges, GIDs: ranges}
	cmd, out := helper(t, c, "PATH="+dir+":"+os.Getenv("PATH"))
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := out.String(), strings.Repeat(" 0 0 1\n 1 100000 1000\n 1001 300000 5\n", 2); got != want {
		t.Errorf("maps\n%swant\n%s", got, want)
	}
}

func TestRunWithoutPrograms(t *testing.T) {
	needsNamespaces(t)
	dir := t.TempDir()
	ranges := []Range{{0, 0, 1}, {1, 100000, 1000}}
	c := Command{Path: "/bin/sh", Args: []string{"sh", "-c", "echo ran"}, Mapping: Mapping{UIDs: ranges, GIDs: ranges}}

	cmd, out := helper(t, c, "PATH="+dir)
	_ = cmd.Run() // the output says it
	if got := out.String(); !strings.HasPrefix(got, "true ") || !strings.Contains(got, "newuidmap") || strings.Contains(got, "ran") {
		t.Errorf("without newuidmap: %q, want ErrUnavailable that names it", got)
	}

	script := "#!/bin/sh\necho 'newuidmap: no, no' >&2; exit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "newuidmap"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, out = helper(t, c, "PATH="+dir)
	_ = cmd.Run() // the output says it
	if got := out.String(); !strings.HasPrefix(got, "true ") || !strings.Contains(got, "newuidmap: no, no") || strings.Contains(got, "\nran") {
		t.Errorf("refused by newuidmap: %q, want ErrUnavailable with its words", got)
	}
}

func TestSignals(t *testing.T) {
	needsNamespaces(t)
	interactive := shell(`trap 'echo TERM; exit 3' TERM; trap 'echo INT; exit 4' INT; echo ready; while :; do sleep 0.1; done`)
	own := interactive
	interactive.Interactive = true
	for _, c := range []struct {
		name    string
		command Command
		signals []syscall.Signal
		want    string
		code    int
	}{
		{"passed on", own, []syscall.Signal{syscall.SIGTERM}, "TERM", 3},
		{"interrupt passed on", own, []syscall.Signal{syscall.SIGINT}, "INT", 4},
		{"to an interactive command", interactive, []syscall.Signal{syscall.SIGTERM}, "TERM", 3},
		{"the keyboard's are not doubled", interactive, []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}, "TERM", 3},
		{"ended by one", shell("echo ready; kill -9 $$"), nil, "", 128 + 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, out := helper(t, c.command)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout = w
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			b := make([]byte, 100)
			n, _ := r.Read(b)
			if string(b[:n]) != "ready\n" {
				t.Fatalf("read %q: %s", b[:n], out)
			}
			for _, s := range c.signals {
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			n, _ = r.Read(b)
			_ = cmd.Wait() // the code is looked at
			if got := strings.TrimSpace(string(b[:n])); got != c.want {
				t.Errorf("the command said %q, want %q", got, c.want)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
		})
	}
}

// TestContinueDiesWithItsParent kills a process whose command is this program
// again: nothing else could ask for its own end.
func TestContinueDiesWithItsParent(t *testing.T) {
	needsNamespaces(t)
	sleeper := shell("echo ready; exec sleep 30")
	sleeper.Interactive = true                                        // it knows nothing of its parent
	sleeper.Mapping = Mapping{[]Range{{0, 0, 1}}, []Range{{0, 0, 1}}} // root of the namespace that it is made in
	raw, err := json.Marshal(sleeper)
	if err != nil {
		t.Fatal(err)
	}
	again := Command{Path: itself, Args: []string{"again"}, Env: append(os.Environ(), runHelper+"="+string(raw)), Mapping: Caller()}
	cmd, out := helper(t, again)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b := make([]byte, 100)
	if n, _ := r.Read(b); string(b[:n]) != "ready\n" {
		t.Fatalf("read %q: %s", b[:n], out)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	// The sleeper ends with a SIGTERM that was passed on, and closes the pipe.
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(b); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the command goes on after its parent was killed")
	}
}
