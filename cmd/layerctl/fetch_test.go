// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
)

// noisy is a layout with an image of one layer that does not compress.
func noisy(t *testing.T, size int) (layout string, noise []byte) {
	t.Helper()
	noise = make([]byte, size)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(source.Uint32())
	}
	l := imagetest.NewLayout(filepath.Join(t.TempDir(), "layout"))
	l.Tag(l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar(imagetest.File("noise", string(noise)))), "latest")
	return l.Dir, noise
}

// hostile stands in front of a registry and sends its layers as answer says;
// all else, and what answer leaves to it, is honest.
type hostile struct {
	mu     sync.Mutex
	layers int   // requests for layers so far
	sent   int64 // bytes of layers
	answer func(n int, w http.ResponseWriter, r *http.Request, part []byte) (left []byte)
}

func (h *hostile) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			next.ServeHTTP(w, r)
			return
		}
		header := r.Header.Get("Range")
		r.Header.Del("Range")
		whole := httptest.NewRecorder()
		next.ServeHTTP(whole, r)
		body := whole.Body.Bytes()
		if bytes.HasPrefix(body, []byte("{")) { // the config
			_, _ = w.Write(body)
			return
		}
		h.serve(w, r, header, body)
	})
}

func (h *hostile) serve(w http.ResponseWriter, r *http.Request, header string, body []byte) {
	h.mu.Lock()
	h.layers++
	n := h.layers
	h.mu.Unlock()
	first, last, status := 0, len(body)-1, http.StatusOK
	if _, err := fmt.Sscanf(header, "bytes=%d-%d", &first, &last); err == nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(body)))
		status = http.StatusPartialContent
	}
	part := body[first : last+1]
	left := part
	if h.answer != nil {
		left = h.answer(n, w, r, slices.Clone(left))
	}
	if left == nil {
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(part)))
	w.WriteHeader(status)
	sent, _ := w.Write(left)
	h.mu.Lock()
	h.sent += int64(sent)
	h.mu.Unlock()
	if len(left) < len(part) {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestPullThroughAHostileProxy(t *testing.T) {
	needsFull(t)
	layout, noise := noisy(t, 1<<20)
	refuse := func(w http.ResponseWriter, status int) []byte { w.WriteHeader(status); return nil }
	half := func(part []byte) []byte { return part[:len(part)/2] }
	flip := func(part []byte) []byte { part[len(part)/2] ^= 1; return part }
	tests := map[string]struct {
		answer func(n int, w http.ResponseWriter, r *http.Request, part []byte) []byte
		code   int
		bytes  float64 // at most, as a part of the layer
		says   string
	}{
		"cut every 64 KiB": {func(_ int, _ http.ResponseWriter, _ *http.Request, part []byte) []byte {
			return part[:min(len(part), 64<<10)]
		}, exitOK, 1.05, ""},
		"500, 429 with a time, 503 with a date": {func(n int, w http.ResponseWriter, _ *http.Request, part []byte) []byte {
			switch n {
			case 1:
				return refuse(w, 500)
			case 2:
				w.Header().Set("Retry-After", "1")
				return refuse(w, 429)
			case 3:
				w.Header().Set("Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT")
				return refuse(w, 503)
			}
			return part
		}, exitOK, 1.05, ""},
		"a break": {func(n int, w http.ResponseWriter, _ *http.Request, part []byte) []byte {
			if n == 1 {
				return half(part)
			}
			return part
		}, exitOK, 1.05, ""},
		"a stall": {func(n int, w http.ResponseWriter, r *http.Request, part []byte) []byte {
			if n > 1 {
				return part
			}
			_, _ = w.Write(half(part))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return nil
		}, exitOK, 1.05, ""},
		"a byte of the resumed part is flipped once": {func(n int, _ http.ResponseWriter, _ *http.Request, part []byte) []byte {
			switch n {
			case 1:
				return half(part)
			case 2:
				return flip(part)
			}
			return part
		}, exitOK, 2.05, "fetching it again"},
		"a byte of each resumed part is flipped": {func(n int, _ http.ResponseWriter, _ *http.Request, part []byte) []byte {
			if n%2 == 1 {
				return half(part)
			}
			return flip(part)
		}, exitMismatch, 2.05, "from 127.0.0.1"},
		"a byte is flipped": {func(_ int, _ http.ResponseWriter, _ *http.Request, part []byte) []byte {
			return flip(part)
		}, exitMismatch, 1.05, "from 127.0.0.1"},
		"Content-Encoding": {func(_ int, w http.ResponseWriter, _ *http.Request, part []byte) []byte {
			w.Header().Set("Content-Encoding", "gzip")
			return part
		}, exitOK, 1.05, ""}, // the bytes have the digest, whatever the header says
		"forbidden": {func(_ int, w http.ResponseWriter, _ *http.Request, _ []byte) []byte {
			return refuse(w, 403)
		}, exitDenied, 0, "403"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := &hostile{answer: test.answer}
			s := serve(t, h.wrap)
			push(t, s, "noise", "latest", layout)
			store := filepath.Join(t.TempDir(), "store")
			var stdout, stderr bytes.Buffer
			patience := "1m" // for who is honest, on whatever machine
			if name == "a stall" {
				patience = "1s"
			}
			code := run([]string{"layerctl", "pull", "--stall-timeout", patience, "--progress", "json", "--store", store,
				"--plain-http", s.host, "--platform", "linux/amd64", s.host + "/noise"}, nil, &stdout, &stderr)
			says := stderr.String()
			if code != test.code {
				t.Fatalf("exit %d, want %d: %s", code, test.code, says)
			}
			h.mu.Lock()
			sent := h.sent
			h.mu.Unlock()
			if got := float64(sent) / float64(len(noise)); got > test.bytes+0.001 {
				t.Errorf("%.3f of the layer was sent, want %.3f at most", got, test.bytes)
			}
			if test.says == "fetching it again" {
				test.says = `"event":"again"`
			}
			if !strings.Contains(says, test.says) {
				t.Errorf("%q is not in %s", test.says, says)
			}
			if got := files(t, store, "noise"); code == exitOK && (len(got) != 1 || !bytes.Equal(got[0], noise)) {
				t.Error("the tree is another one")
			} else if code != exitOK && len(got) != 0 {
				t.Error("a failed pull left a tree")
			}
		})
	}
}

func TestPullOverRanges(t *testing.T) {
	needsFull(t)
	layout, noise := noisy(t, 18<<20) // five ranges
	tests := map[string]struct {
		answer   func(n int, w http.ResponseWriter, r *http.Request, part []byte) []byte
		requests int
		sent     float64 // at most, as a part of the layer
		again    int     // how often it is fetched from the start
	}{
		"whole": {requests: 5, sent: 1},
		"cut every 512 KiB": {func(_ int, _ http.ResponseWriter, _ *http.Request, part []byte) []byte {
			return part[:min(len(part), 512<<10)]
		}, 37, 1.05, 0},
		"a flipped byte": {func(n int, _ http.ResponseWriter, _ *http.Request, part []byte) []byte {
			if n == 2 {
				part[len(part)/2] ^= 1
			}
			return part
		}, 6, 2, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := &hostile{answer: test.answer}
			s := serve(t, h.wrap)
			push(t, s, "noise", "latest", layout)
			store := filepath.Join(t.TempDir(), "store")
			pull := []string{"layerctl", "pull", "--ranges", "4", "--progress", "json", "--store", store,
				"--plain-http", s.host, "--platform", "linux/amd64", s.host + "/noise"}
			var stdout, stderr bytes.Buffer
			if code := run(append(pull, "--dry-run", "--json"), nil, &stdout, &stderr); code != exitOK {
				t.Fatalf("exit %d: %s", code, &stderr)
			}
			var plan planned
			if err := json.Unmarshal(stdout.Bytes(), &plan); err != nil || plan.Requests != 1+5 {
				t.Errorf("%d requests were promised, %v, want the tag's and five", plan.Requests, err)
			}
			stdout.Reset()
			stderr.Reset()
			if code := run(pull, nil, &stdout, &stderr); code != exitOK {
				t.Fatalf("exit %d: %s", code, &stderr)
			}
			h.mu.Lock()
			sent, layers := h.sent, h.layers
			h.mu.Unlock()
			if got := float64(sent) / float64(len(noise)); got > test.sent+0.001 {
				t.Errorf("%.3f of the layer was sent, want %.3f at most", got, test.sent)
			}
			if layers < test.requests || layers > test.requests+5 {
				t.Errorf("%d requests, want %d", layers, test.requests)
			}
			if got := files(t, store, "noise"); len(got) != 1 || !bytes.Equal(got[0], noise) {
				t.Error("the tree is another one")
			}
			if n := strings.Count(stderr.String(), `"event":"again"`); n != test.again {
				t.Errorf("fetched again %d times, want %d", n, test.again)
			}
			neverBack(t, stderr.String())
		})
	}
}

// neverBack looks at the offsets of the one layer that progress tells of.
func neverBack(t *testing.T, progress string) {
	t.Helper()
	var offset, events int64
	for line := range strings.Lines(progress) {
		var e struct {
			Event  string
			Offset int64
		}
		if json.Unmarshal([]byte(line), &e) != nil || e.Event != "progress" {
			continue
		}
		if e.Offset < offset {
			t.Errorf("progress went back from %d to %d", offset, e.Offset)
		}
		offset = e.Offset
		events++
	}
	if events < 10 {
		t.Errorf("%d events of progress", events)
	}
}

// files are the contents of all committed files of that name.
func files(t *testing.T, store, name string) (contents [][]byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(store, "layers", "*", "fs", name))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, b)
	}
	return contents
}

func TestPullOverMirrorsThatDie(t *testing.T) {
	needsFull(t)
	layout, noise := noisy(t, 1<<20)
	const each = 300 << 10
	dies := func(left int) *served {
		h := &hostile{answer: func(n int, _ http.ResponseWriter, _ *http.Request, part []byte) []byte {
			if n > 1 {
				panic(http.ErrAbortHandler)
			}
			return part[:left]
		}}
		s := serve(t, h.wrap)
		push(t, s, "noise", "latest", layout)
		return s
	}
	one, two := dies(each), dies(each)
	origin := serve(t, (&hostile{}).wrap)
	push(t, origin, "noise", "latest", layout)
	hosts := t.TempDir()
	writeHosts(t, hosts, origin.host, fmt.Sprintf("[host.\"http://%s\"]\n[host.\"http://%s\"]\n", one.host, two.host))
	pull := func(store string, flags ...string) string {
		var stdout, stderr bytes.Buffer
		args := slices.Concat([]string{"layerctl", "pull", "--store", store, "--hosts-dir", hosts, "--plain-http", origin.host, "--platform", "linux/amd64"}, flags, []string{origin.host + "/noise"})
		if code := run(args, nil, &stdout, &stderr); code != exitOK {
			t.Fatalf("exit %d: %s", code, &stderr)
		}
		return stderr.String()
	}
	store := filepath.Join(t.TempDir(), "store")
	said := pull(store, "--progress", "plain")
	// The first one has sent the config too.
	want := fmt.Sprintf("/noise: 307.4 kB from %s, 307.2 kB from %s, 434.9 kB from ", one.host, two.host)
	if !strings.Contains(said, want) || !strings.Contains(said, " from "+origin.host+"\n") {
		t.Errorf("%q is not in %s", want, said)
	}
	if got := files(t, store, "noise"); len(got) != 1 || !bytes.Equal(got[0], noise) {
		t.Error("the tree is another one")
	}
	said = pull(filepath.Join(t.TempDir(), "store"), "--progress", "json")
	if n := strings.Count(said, `"event":"traffic","host":"127.0.0.1:`); n != 2 {
		t.Errorf("%d lines of traffic, want the config's mirror and the origin: %s", n, said)
	}
}

// A mirror whose disk rots, or one that was taken over, does not stop a pull,
// or a copy, while there is another host; where all lie nothing is believed.
func TestPullOverMirrorsThatLie(t *testing.T) {
	layout, noise := noisy(t, 1<<16)
	lies := func(at int) *served {
		h := &hostile{answer: func(_ int, _ http.ResponseWriter, _ *http.Request, part []byte) []byte {
			part = bytes.Clone(part)
			part[at*(len(part)-1)] ^= 1
			return part
		}}
		s := serve(t, h.wrap)
		push(t, s, "noise", "latest", layout)
		return s
	}
	first, last, honest := lies(0), lies(1), serve(t, (&hostile{}).wrap)
	push(t, honest, "noise", "latest", layout)
	for _, c := range []struct {
		name   string
		origin *served
		code   int
	}{{"honest registry", honest, exitOK}, {"the registry too", lies(0), exitMismatch}} {
		t.Run(c.name, func(t *testing.T) {
			hosts, store := t.TempDir(), filepath.Join(t.TempDir(), "store")
			writeHosts(t, hosts, c.origin.host, fmt.Sprintf("[host.\"http://%s\"]\n[host.\"http://%s\"]\n", first.host, last.host))
			var stdout, stderr bytes.Buffer
			args := []string{"layerctl", "pull", "--store", store, "--hosts-dir", hosts, "--plain-http", c.origin.host, "--platform", "linux/amd64", c.origin.host + "/noise"}
			if code := run(args, nil, &stdout, &stderr); code != c.code {
				t.Fatalf("exit %d, want %d: %s", code, c.code, &stderr)
			}
			args = []string{"layerctl", "copy", "--hosts-dir", hosts, "--plain-http", c.origin.host, c.origin.host + "/noise", "oci:" + t.TempDir() + "/copy:1"}
			if code := run(args, nil, &stdout, &stderr); code != c.code {
				t.Errorf("copy: exit %d, want %d: %s", code, c.code, &stderr)
			}
			if got := files(t, store, "noise"); c.code == exitOK && (len(got) != 1 || !bytes.Equal(got[0], noise)) || c.code != exitOK && len(got) != 0 {
				t.Errorf("%d files", len(got))
			}
		})
	}
}

func writeHosts(t *testing.T, dir, host, toml string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, host), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, host, "hosts.toml"), []byte(toml), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fetched is what the registry was asked since the last time.
func (s *served) fetched() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.requests
	s.requests = nil
	return asked
}

func TestNothingIsFetchedTwice(t *testing.T) {
	s := serve(t, nil)
	push(t, s, "hello", "latest", helloLayout)
	s.fetched()
	store := filepath.Join(t.TempDir(), "store")
	ask := func(args ...string) []string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		args = slices.Concat([]string{"layerctl"}, args, []string{"--quiet", "--store", store, "--plain-http", s.host, "--platform", "linux/amd64", s.host + "/hello"})
		if code := run(args, nil, &stdout, &stderr); code != exitOK {
			t.Fatalf("exit %d: %s", code, &stderr)
		}
		return s.fetched()
	}
	all := ask("inspect", "--json")
	all = append(all, ask("pull")...)
	seen := map[string]bool{}
	for _, request := range all {
		if strings.HasPrefix(request, "GET ") && seen[request] {
			t.Errorf("inspect and pull asked twice: %s", request)
		}
		seen[request] = true
	}
	want := []string{"HEAD /v2/hello/manifests/latest"}
	if got := ask("pull"); !slices.Equal(got, want) {
		t.Errorf("a second pull asked %q, want %q", got, want)
	}
	if got := ask("pull", "--dry-run"); !slices.Equal(got, want) {
		t.Errorf("--dry-run asked %q, want %q", got, want)
	}
	if got := ask("pull", "--offline"); len(got) != 0 {
		t.Errorf("--offline asked %q", got)
	}
}

// What was kept is an OCI layout by which a machine without a network can
// pull, and which skopeo reads.
func TestOffline(t *testing.T) {
	s := serve(t, nil)
	push(t, s, "hello", "latest", helloLayout)
	old := filepath.Join(t.TempDir(), "old")
	pull := func(store string, flags ...string) (int, string) {
		var stdout, stderr bytes.Buffer
		code := run(slices.Concat([]string{"layerctl", "pull", "--quiet", "--store", store, "--plain-http", s.host, "--platform", "linux/amd64"}, flags, []string{s.host + "/hello"}), nil, &stdout, &stderr)
		return code, stderr.String()
	}
	// The layers are there before their blobs are asked for.
	for _, flags := range [][]string{nil, {"--keep-blobs"}} {
		if code, said := pull(old, flags...); code != exitOK {
			t.Fatalf("exit %d: %s", code, said)
		}
	}
	s.fetched()
	fresh := filepath.Join(t.TempDir(), "fresh")
	if code, said := pull(fresh, "--offline"); code != exitNotFound || !strings.Contains(said, "offline") || !strings.Contains(said, "--keep-blobs") {
		t.Errorf("an empty cache: exit %d: %s", code, said)
	}
	if err := os.RemoveAll(filepath.Join(fresh, "blobs")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(fresh, "blobs"), os.DirFS(filepath.Join(old, "blobs"))); err != nil {
		t.Fatal(err)
	}
	if code, said := pull(fresh, "--offline"); code != exitOK {
		t.Errorf("exit %d: %s", code, said)
	}
	if got := s.fetched(); len(got) != 0 {
		t.Errorf("offline it asked %q", got)
	}
	craneReads(t, filepath.Join(fresh, "blobs"))
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("needs skopeo: ", err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if said, err := exec.Command(skopeo, "--override-arch", "amd64", "copy", "--quiet", "oci:"+filepath.Join(fresh, "blobs")+":"+s.host+"/hello:latest", "oci:"+out+":hello").CombinedOutput(); err != nil {
		t.Fatalf("skopeo: %v: %s", err, said)
	}
	blobs, err := os.ReadDir(filepath.Join(out, "blobs", "sha256"))
	if err != nil || len(blobs) != 5 {
		t.Errorf("skopeo copied %d blobs, %v, want manifest, config and three layers", len(blobs), err)
	}
	for _, b := range blobs {
		if _, err := os.Stat(filepath.Join(helloLayout, "blobs", "sha256", b.Name())); err != nil {
			t.Errorf("skopeo made another digest: %v", err)
		}
	}
}

// craneReads reads the amd64 image of a layout with the library that is crane.
func craneReads(t *testing.T, dir string) {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) == 0 {
		t.Fatalf("got %+v, %v", manifest, err)
	}
	if !manifest.Manifests[0].MediaType.IsIndex() {
		t.Fatalf("got %+v, want the index that was pulled", manifest.Manifests)
	}
	if index, err = index.ImageIndex(manifest.Manifests[0].Digest); err != nil {
		t.Fatal(err)
	}
	if manifest, err = index.IndexManifest(); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(manifest.Manifests, func(d v1.Descriptor) bool { return d.Platform.Architecture == "amd64" })
	image, err := index.Image(manifest.Manifests[i].Digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 3 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	for _, l := range layers {
		want, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		blob, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := v1.SHA256(blob)
		if err = errors.Join(err, blob.Close()); err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

// planned is what these tests read of "pull --dry-run --json".
type planned struct {
	Requests int
	Fetch    int64
	Fits     bool
	Problem  string
}

func TestDryRunSaysThatItDoesNotFit(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	l := imagetest.NewLayout(t.TempDir())
	layer := l.Blob(ocispec.MediaTypeImageLayerGzip, imagetest.Gzip(imagetest.Tar()))
	layer.Size = 1 << 50
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}
	config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
	l.Tag(l.Manifest(config, layer), "latest")
	r.AddLayout(l.Dir, "latest")
	for _, flags := range [][]string{{"--dry-run", "--json"}, {}} {
		var stdout, stderr bytes.Buffer
		args := slices.Concat([]string{"layerctl", "pull", "--quiet", "--store", filepath.Join(t.TempDir(), "store"), "--platform", "linux/amd64", "--plain-http", r.Host}, flags, []string{r.Host + "/huge"})
		if code := run(args, nil, &stdout, &stderr); code != exitFilesystem {
			t.Errorf("%q: exit %d, want %d: %s", flags, code, exitFilesystem, &stderr)
		}
		var plan planned
		if len(flags) == 0 {
			continue
		}
		if err := json.Unmarshal(stdout.Bytes(), &plan); err != nil || plan.Fits || plan.Problem == "" || plan.Fetch != 1<<50 {
			t.Errorf("got %+v, %v", plan, err)
		}
	}
}
