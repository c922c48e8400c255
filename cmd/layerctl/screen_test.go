// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
)

const (
	screenLayers = 40
	// screenHeld is the layer that the registry stops in the middle of, and in
	// the next one, for two are fetched at a time.
	screenHeld = 19
)

// faltering is a registry of one image of 40 layers. Of two of them it sends the
// first half; then it waits, breaks the connections off, and is unavailable
// until it is mended.
type faltering struct {
	*httptest.Server
	layout *imagetest.Layout
	image  ocispec.Descriptor
	held   map[digest.Digest]bool
	broken chan struct{}

	mu   sync.Mutex
	down bool
}

func newFaltering(t *testing.T) *faltering {
	t.Helper()
	r := &faltering{layout: imagetest.NewLayout(t.TempDir()), held: map[digest.Digest]bool{}, broken: make(chan struct{})}
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	var layers []ocispec.Descriptor
	for i := range screenLayers {
		name := fmt.Sprintf("file%d", i)
		tar := imagetest.Tar(imagetest.File(name, name+strings.Repeat("x", 98_000)))
		layers = append(layers, r.layout.Blob(ocispec.MediaTypeImageLayer, tar))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(tar))
	}
	for i := range 2 {
		r.held[layers[screenHeld-1+i].Digest] = true
	}
	r.image = r.layout.Manifest(config, layers...)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// ServeHTTP implements http.Handler.
func (r *faltering) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	down := r.down
	r.mu.Unlock()
	name := digest.Digest(path.Base(req.URL.Path))
	switch {
	case down:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case name == "latest":
		name = r.image.Digest
	case name.Validate() != nil:
		return
	}
	if name == r.image.Digest {
		w.Header().Set("Content-Type", r.image.MediaType)
	}
	raw, err := os.ReadFile(r.layout.Path(name))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	select {
	case <-r.broken:
	default:
		if r.held[name] {
			w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
			_, _ = w.Write(raw[:len(raw)/2])
			w.(http.Flusher).Flush()
			<-r.broken
			panic(http.ErrAbortHandler)
		}
	}
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(raw))
}

// breakOff begins the outage.
func (r *faltering) breakOff() {
	r.mu.Lock()
	r.down = true
	r.mu.Unlock()
	close(r.broken)
}

func (r *faltering) mend() {
	r.mu.Lock()
	r.down = false
	r.mu.Unlock()
}

// pane is a terminal that tmux has.
type pane struct{ socket string }

func (p pane) tmux(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command("tmux", append([]string{"-u", "-S", p.socket, "-f", "/dev/null"}, args...)...)
	// Users of services have a shell that runs nothing.
	command.Env = append(os.Environ(), "SHELL=/bin/sh", "LC_ALL=C.UTF-8")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// varying is what is another in each run.
var varying = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`(?m)^\S*app `), "REF "},
	{regexp.MustCompile(`(?m) +[0-9.]+ [kM]?B/s +[0-9]+ s( left)?$`), " RATE LEFT"},
	{regexp.MustCompile(`[0-9]+ of 60, in [0-9]+ s`), "N of 10, in T s"},
	{regexp.MustCompile(`retry [0-9]+/60 in [0-9]+ s`), "retry N/10 in T s"},
	{regexp.MustCompile(`(?m) in [0-9]+ s$`), " in T s"},
}

// shows waits until the pane shows what is wanted; with LAYERCTL_UPDATE=1, until
// it shows all of the words, twice.
func (p pane) shows(t *testing.T, want string, words ...string) string {
	t.Helper()
	got, before := "", ""
	update := os.Getenv("LAYERCTL_UPDATE") == "1"
	pause := 50 * time.Millisecond
	if update {
		pause = time.Second
	}
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(pause) {
		before = got
		got = strings.Trim(p.tmux(t, "capture-pane", "-p", "-J", "-t", "0"), "\n ")
		var lines []string
		for line := range strings.SplitSeq(got, "\n") {
			lines = append(lines, strings.TrimRight(line, " "))
		}
		got = strings.Join(lines, "\n")
		for _, v := range varying {
			got = v.pattern.ReplaceAllString(got, v.mask)
		}
		found := got == want
		if update {
			found = got == before
			for _, word := range words {
				found = found && strings.Contains(got, word)
			}
		}
		if found {
			return got
		}
	}
	t.Errorf("the terminal shows\n%s\nand not\n%s", got, want)
	return got
}

// TestProgressOnATerminal looks at a pull of 40 layers in tmux: on its way, in an
// outage, after the terminal got another width, and at its end. What it must
// show at each width is in testdata/screen.
func TestProgressOnATerminal(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("needs tmux")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: others are told first how their store keeps owners")
	}
	for _, width := range []int{80, 40, 200} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			needsFull(t)
			watchPull(t, width, map[int]int{40: 80, 80: 40, 200: 60}[width])
		})
	}
}

func watchPull(t *testing.T, width, then int) {
	r := newFaltering(t)
	host := strings.TrimPrefix(r.URL, "http://")
	dir := t.TempDir()
	p := pane{filepath.Join(dir, "tmux")}
	file := filepath.Join("testdata", "screen", fmt.Sprintf("%d.txt", width))
	raw, _ := os.ReadFile(file)
	chapters := map[string]string{}
	for _, chapter := range strings.Split(string(raw), "-- ")[1:] {
		name, text, _ := strings.Cut(chapter, " --\n")
		chapters[name] = strings.TrimRight(text, "\n")
	}
	var all strings.Builder
	look := func(chapter string, words ...string) {
		fmt.Fprintf(&all, "-- %s --\n%s\n", chapter, p.shows(t, chapters[chapter], words...))
	}
	command := fmt.Sprintf("yes '' | head -n 40; echo '$ layerctl pull app'; TERM=tmux layerctl pull --jobs 2 --retry 60 --platform linux/amd64 --store '%s' --plain-http %s %s/app >/dev/null; echo '$'; sleep 60", filepath.Join(dir, "store"), host, host)
	p.tmux(t, "new-session", "-d", "-x", fmt.Sprint(width), "-y", "24", command)
	t.Cleanup(func() { p.tmux(t, "kill-server") })
	look("on its way", "RATE", "layer 19/40   50 %", "layer 20/40   50 %", "18 of 40")
	r.breakOff()
	look("outage", "10", "503")
	p.tmux(t, "resize-window", "-t", "0", "-x", fmt.Sprint(then), "-y", "24")
	look(fmt.Sprintf("then %d columns wide", then), "10", "503", "layer 20/40")
	r.mend()
	look("over", "pulled 1 image", "\n$")
	if os.Getenv("LAYERCTL_UPDATE") == "1" {
		if err := os.WriteFile(file, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
