// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// hello is the test image of the repository.
const hello = "../testdata/images/hello"

func TestMain(m *testing.M) {
	// These tests make much garbage and keep little.
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// served is a registry in this process, with hello as library/hello:latest,
// and a log of what it was asked.
type served struct {
	*httptest.Server
	host string // host:port
	top  digest.Digest

	mu       sync.Mutex
	requests []string // "GET /v2/…"
}

// serve starts a registry. wrap, where it is not nil, stands before it once
// the images are there.
func serve(t *testing.T, wrap func(http.Handler) http.Handler) *served {
	t.Helper()
	return serveWith(t, wrap, (*httptest.Server).Start)
}

func serveWith(t *testing.T, wrap func(http.Handler) http.Handler, start func(*httptest.Server)) *served {
	t.Helper()
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	s := &served{}
	outer := inner
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		outer.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(s.Server)
	t.Cleanup(s.Close)
	s.host = s.Listener.Addr().String()
	s.top = push(t, &http.Client{Transport: called{inner}}, s.URL, "library/hello", "latest")
	if wrap != nil {
		outer = wrap(inner)
	}
	return s
}

func (s *served) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.requests
	s.requests = nil
	return asked
}

// called has a handler answer requests without a network.
type called struct{ http.Handler }

func (c called) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	c.ServeHTTP(answer, r)
	response := answer.Result()
	response.Request = r
	return response, nil
}

// helloBlobs are the blobs of hello by the encoded part of their digest.
var helloBlobs = sync.OnceValues(func() (map[string][]byte, error) {
	blobs := map[string][]byte{}
	dir := os.DirFS(filepath.Join(hello, "blobs", "sha256"))
	names, err := fs.Glob(dir, "*")
	for _, name := range names {
		var one error
		blobs[name], one = fs.ReadFile(dir, name)
		err = errors.Join(err, one)
	}
	return blobs, err
})

func blobsOfHello(t *testing.T) map[string][]byte {
	t.Helper()
	blobs, err := helloBlobs()
	if err != nil || len(blobs) == 0 {
		t.Fatalf("blobs of %s: %v", hello, err)
	}
	return blobs
}

// push uploads all blobs of hello, its manifests too, and tags its only index.
func push(t *testing.T, client *http.Client, base, repo, tag string) digest.Digest {
	t.Helper()
	blobs := blobsOfHello(t)
	for name, b := range blobs {
		upload(t, client, base+"/v2/"+repo, "sha256:"+name, b)
	}
	var top digest.Digest
	// Manifests before the indexes that name them.
	for _, kind := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex} {
		for name, b := range blobs {
			if !bytes.HasPrefix(b, []byte(`{"schemaVersion":2,"mediaType":"`+kind+`"`)) {
				continue
			}
			put(t, client, base+"/v2/"+repo+"/manifests/sha256:"+name, kind, b)
			if kind == ocispec.MediaTypeImageIndex {
				put(t, client, base+"/v2/"+repo+"/manifests/"+tag, kind, b)
				top = digest.FromBytes(b)
			}
		}
	}
	return top
}

func upload(t *testing.T, client *http.Client, repo, dgst string, b []byte) {
	t.Helper()
	resp, err := client.Post(repo+"/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	discard(resp.Body)
	to, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	q := to.Query()
	q.Set("digest", dgst)
	to.RawQuery = q.Encode()
	put(t, client, to.String(), "application/octet-stream", b)
}

func put(t *testing.T, client *http.Client, url, contentType string, b []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	discard(resp.Body)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("put %s: %s", url, resp.Status)
	}
}

// quick makes retries fast and keeps the machine's own configuration out.
func quick(o Options) Options {
	if o.AuthFile == "" {
		o.AuthFile = os.DevNull
	}
	for _, p := range []*string{&o.HostsDir, &o.K3sRegistries, &o.RegistriesConf} {
		if *p == "" {
			*p = "/nonexistent"
		}
	}
	if o.Backoff == 0 {
		o.Backoff = time.Millisecond
	}
	if o.Retries == 0 {
		o.Retries = 3
	}
	return o
}

func plain(s *served) Options { return quick(Options{PlainHTTP: []string{s.host}}) }

func open(t *testing.T, c *Client, ref string) *Source {
	t.Helper()
	r, err := Parse(ref)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// readAll reads a blob through, in pieces of an odd size.
func readAll(ctx context.Context, s *Source, desc ocispec.Descriptor) ([]byte, error) {
	b, err := s.Blob(ctx, desc)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = io.CopyBuffer(struct{ io.Writer }{&out}, struct{ io.Reader }{b}, make([]byte, 4093))
	return out.Bytes(), errors.Join(err, b.Close())
}

// helloLayer is a layer of the hello image: of all its layers, the one whose
// digest is the smallest.
func helloLayer(t *testing.T) (ocispec.Descriptor, []byte) {
	t.Helper()
	blobs := blobsOfHello(t)
	for _, name := range slices.Sorted(maps.Keys(blobs)) {
		if b := blobs[name]; bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
			return describe(b), bytes.Clone(b)
		}
	}
	t.Fatal("hello has no layer")
	panic("unreachable")
}

func describe(b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

func wantError(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got error %v, want one that is %q", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got error %q, want one that says %q", err, w)
		}
	}
	if s := fmt.Sprint(err); strings.ContainsAny(s, "\n\x1b") {
		t.Errorf("got error %q, want one line", s)
	}
}

func discard(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, body)
	body.Close()
}

// full says that nothing is left out, however long it takes.
func full() bool { return os.Getenv("LAYERCTL_FULL") == "1" }

// measuresTime leaves out a test that other programs on the machine can make
// fail.
func measuresTime(t *testing.T) {
	t.Helper()
	if !full() {
		t.Skip("measures time: LAYERCTL_FULL=1 runs it")
	}
}
