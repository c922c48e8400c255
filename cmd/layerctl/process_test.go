// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// command is one run of layerctl in a process of its own.
type command struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func layerctlCommand(t *testing.T, args ...string) *command {
	t.Helper()
	c := &command{Cmd: exec.CommandContext(t.Context(), "layerctl", args...)}
	c.Stdout, c.Stderr = &c.stdout, &c.stderr
	c.Env = append(os.Environ(), "DOCKER_CONFIG="+t.TempDir())
	return c
}

func (c *command) code(t *testing.T) int {
	t.Helper()
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode()
}

const helloLayout = "../../testdata/images/hello"

// stuck lets blobs through up to half of them, and then no further until it is
// released; it says when it has one stuck.
type stuck struct {
	reached  chan struct{}
	once     sync.Once
	released chan struct{}
}

func newStuck() *stuck { return &stuck{reached: make(chan struct{}), released: make(chan struct{})} }

func (s *stuck) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-s.released:
		default:
			// The configs are blobs too, and small; a pull gets those.
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				w = &halfWriter{ResponseWriter: w, stuck: s, done: r.Context().Done()}
			}
		}
		next.ServeHTTP(w, r)
	})
}

type halfWriter struct {
	http.ResponseWriter
	stuck *stuck
	done  <-chan struct{}
}

func (w *halfWriter) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("{")) {
		return w.ResponseWriter.Write(b)
	}
	n, err := w.ResponseWriter.Write(b[:len(b)/2])
	if err != nil {
		return n, err
	}
	w.ResponseWriter.(http.Flusher).Flush()
	w.stuck.once.Do(func() { close(w.stuck.reached) })
	select {
	case <-w.stuck.released:
	case <-w.done:
	}
	m, err := w.ResponseWriter.Write(b[len(b)/2:])
	return n + m, err
}

func TestKilledInTheMiddleOfAPull(t *testing.T) {
	gate := newStuck()
	s := serve(t, gate.wrap)
	push(t, s, "hello", "latest", helloLayout)
	store := filepath.Join(t.TempDir(), "store")
	pull := []string{"pull", "--quiet", "--store", store, "--plain-http", s.host, "--platform", "linux/amd64", s.host + "/hello"}

	victim := layerctlCommand(t, pull...)
	// In a user namespace a second process would hear of it, and tidy up.
	victim.Env = append(victim.Env, "LAYERCTL_IDS=squashed")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, gate.reached)
	if err := victim.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := victim.Wait(); err == nil {
		t.Fatal("a killed pull ended well")
	}
	if left := entries(t, filepath.Join(store, "staging")); len(left) == 0 {
		t.Fatal("the first pull was not in the middle of anything")
	}
	for _, dir := range []string{"layers", "images", "refs"} {
		if got := entries(t, filepath.Join(store, dir)); len(got) != 0 {
			t.Errorf("%s after a killed pull: %v, want nothing", dir, got)
		}
	}

	// The image is small; as if more of it had come.
	more := filepath.Join(store, "staging", entries(t, filepath.Join(store, "staging"))[0], "fs", "more")
	if err := os.WriteFile(more, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]string{"df --json": `"left": `, "prune --dry-run": "left by processes that died "} {
		counted := layerctlCommand(t, append([]string{"--store", store}, strings.Fields(words)...)...)
		code, out := counted.code(t), counted.stdout.String()
		if code != 0 || !strings.Contains(out, want) || strings.Contains(out, want+"0") {
			t.Errorf("%s does not count what the killed pull left: exit %d: %s", words, code, out)
		}
	}

	close(gate.released)
	again := layerctlCommand(t, pull...)
	if code := again.code(t); code != 0 {
		t.Fatalf("the pull after a killed one: exit %d: %s", code, &again.stderr)
	}
	if left := entries(t, filepath.Join(store, "staging")); len(left) != 0 {
		t.Errorf("staging after the second pull: %v, want nothing", left)
	}
	if got := entries(t, filepath.Join(store, "layers")); len(got) != 3 {
		t.Errorf("layers after the second pull: %v, want three", got)
	}
}

func TestInterruptedPullTidiesUp(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			gate := newStuck()
			s := serve(t, gate.wrap)
			push(t, s, "hello", "latest", helloLayout)
			store := filepath.Join(t.TempDir(), "store")
			victim := layerctlCommand(t, "pull", "--quiet", "--store", store, "--plain-http", s.host, "--platform", "linux/amd64", s.host+"/hello")
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, gate.reached)
			if err := victim.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = victim.Wait() // the code is what is looked at
			if got, want := victim.ProcessState.ExitCode(), 128+int(signal); got != want {
				t.Errorf("exit %d, want %d: %s", got, want, &victim.stderr)
			}
			for _, dir := range []string{"staging", "layers", "images", "refs"} {
				if got := entries(t, filepath.Join(store, dir)); len(got) != 0 {
					t.Errorf("%s after an interrupted pull: %v, want nothing", dir, got)
				}
			}
		})
	}
}

func TestInterruptedUnpackLeavesNothing(t *testing.T) {
	gate := newStuck()
	s := serve(t, gate.wrap)
	push(t, s, "hello", "latest", helloLayout)
	top := t.TempDir()
	victim := layerctlCommand(t, "unpack", "--quiet", "--store", filepath.Join(top, "none"), "--plain-http", s.host, "--platform", "linux/amd64", s.host+"/hello", filepath.Join(top, "to"))
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, gate.reached)
	if got := entries(t, top); len(got) != 1 {
		t.Errorf("while it unpacks there is %v, want one directory", got)
	}
	if err := victim.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // the code is what is looked at
	if got, want := victim.ProcessState.ExitCode(), 128+int(syscall.SIGTERM); got != want {
		t.Errorf("exit %d, want %d: %s", got, want, &victim.stderr)
	}
	if got := entries(t, top); len(got) != 0 {
		t.Errorf("after an interrupted unpack there is %v, want nothing", got)
	}
}

func TestTwoPullsOfOneImageAtOnce(t *testing.T) {
	gate := newStuck()
	s := serve(t, gate.wrap)
	push(t, s, "hello", "latest", helloLayout)
	store := filepath.Join(t.TempDir(), "store")
	var pulls []*command
	for range 2 {
		c := layerctlCommand(t, "pull", "--quiet", "--store", store, "--plain-http", s.host, "--platform", "linux/amd64", s.host+"/hello")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		pulls = append(pulls, c)
	}
	waitFor(t, gate.reached)
	time.Sleep(100 * time.Millisecond) // let the other one meet the first one's locks
	close(gate.released)
	for i, c := range pulls {
		if err := c.Wait(); err != nil {
			t.Errorf("pull %d: %v: %s", i, err, &c.stderr)
		}
	}
	// Three layers, and a config for each of the two, unless one found it in
	// the cache.
	if got := s.blobs(); got < 4 || got > 5 {
		t.Errorf("%d blobs fetched, want 4 or 5: each layer once", got)
	}
}

// A pull that waits for another says so without being asked, and takes over
// when that one dies.
func TestWaitingPullTakesOver(t *testing.T) {
	for _, progress := range []string{"plain", "json"} {
		t.Run(progress, func(t *testing.T) {
			if progress == "json" {
				needsFull(t)
			}
			gate := newStuck()
			s := serve(t, gate.wrap)
			push(t, s, "hello", "latest", helloLayout)
			store := filepath.Join(t.TempDir(), "store")
			pull := []string{"pull", "--store", store, "--plain-http", s.host, "--platform", "linux/amd64", "--progress", progress, s.host + "/hello"}
			first, second := layerctlCommand(t, pull...), layerctlCommand(t, pull...)
			if err := first.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, gate.reached)
			second.Stderr = nil
			said, err := second.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := second.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(said)
			for lines.Scan() && !strings.Contains(lines.Text(), "waiting") {
			}
			if !strings.Contains(lines.Text(), "waiting") {
				t.Errorf("the second pull did not say that it waits: %v", lines.Err())
			}
			if err := first.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = first.Wait() // it was killed
			close(gate.released)
			for lines.Scan() {
			}
			if err := second.Wait(); err != nil {
				t.Errorf("the second pull: %v", err)
			}
			if got := entries(t, filepath.Join(store, "layers")); len(got) != 3 {
				t.Errorf("layers after the second pull: %v, want three", got)
			}
		})
	}
}

func TestSecondPullFetchesNoLayer(t *testing.T) {
	s := serve(t, nil)
	push(t, s, "hello", "latest", helloLayout)
	store := filepath.Join(t.TempDir(), "store")
	for i, want := range []int{4, 1} { // three layers and the config; the config
		c := layerctlCommand(t, "pull", "--quiet", "--store", store, "--plain-http", s.host, "--platform", "linux/amd64", s.host+"/hello")
		if code := c.code(t); code != 0 {
			t.Fatalf("pull %d: exit %d: %s", i, code, &c.stderr)
		}
		if got := s.blobs(); got > want {
			t.Errorf("pull %d fetched %d blobs, want %d at most", i, got, want)
		}
	}
}

func waitFor(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal("nothing happened for a minute")
	}
}

// entries names what is in a directory; one that is not there has nothing.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
