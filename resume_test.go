// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// pausing is a registry of one image, whose layer it sends to a certain byte;
// then it says so and sends no more to that request.
type pausing struct {
	host  string
	ref   string
	layer ocispec.Descriptor
	tree  []byte // of the layer

	options Options // of pulls that are to be interrupted

	mu     sync.Mutex
	blob   []byte // what it sends for the layer
	until  int64  // the byte to stop at
	plain  bool   // it knows no ranges
	ranges []string
	sent   int64
	paused chan struct{}
	more   chan struct{} // closed where it shall send the rest after all
}

func newPausing(t *testing.T, tree, blob []byte, mediaType string) *pausing {
	t.Helper()
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	p := &pausing{tree: tree, blob: blob, until: int64(len(blob)), paused: make(chan struct{}, 1)}
	p.layer = r.Add(mediaType, blob)
	config := r.Add(ocispec.MediaTypeImageConfig, imagetest.JSON(ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(tree)}},
	}))
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{p.layer}}
	m.SchemaVersion = 2
	r.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(m), "latest")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, "/blobs/"+p.layer.Digest.String()) {
			p.serve(w, req)
			return
		}
		r.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	p.host = strings.TrimPrefix(server.URL, "http://")
	p.ref = p.host + "/image:latest"
	return p
}

func (p *pausing) serve(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	p.ranges = append(p.ranges, req.Header.Get("Range"))
	if p.plain {
		req.Header.Del("Range")
	}
	blob, until, more := p.blob, p.until, p.more
	p.mu.Unlock()
	http.ServeContent(&sender{w, req, p}, req, "", time.Time{}, &upTo{bytes.NewReader(blob), until, p, req, w.(http.Flusher), more})
}

// sender counts what is sent.
type sender struct {
	http.ResponseWriter
	req *http.Request
	p   *pausing
}

func (s *sender) Write(b []byte) (int, error) {
	n, err := s.ResponseWriter.Write(b)
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.sent += int64(n)
	return n, err
}

// upTo reads no further than a certain byte: it waits there for its reader's end.
type upTo struct {
	*bytes.Reader
	until int64
	p     *pausing
	req   *http.Request
	out   http.Flusher
	more  <-chan struct{}
}

func (u *upTo) Read(b []byte) (int, error) {
	at := u.Size() - int64(u.Len())
	if at >= u.until && u.until < u.Size() {
		u.out.Flush()
		select {
		case u.p.paused <- struct{}{}:
		default:
		}
		select {
		case <-u.more:
			u.until = u.Size()
		case <-u.req.Context().Done():
			return 0, u.req.Context().Err()
		}
	}
	return u.Reader.Read(b[:min(int64(len(b)), 32<<10, max(u.until-at, 1))])
}

// asked are the ranges that were asked for since the last call.
func (p *pausing) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ranges := p.ranges
	p.ranges = nil
	return ranges
}

func (p *pausing) set(edit func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit()
}

// pullBlobs pulls as a process with --keep-blobs does.
func pullBlobs(ctx context.Context, dir, ref string) error {
	store, err := overlaystore.Open(ctx, dir, overlaystore.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	kept, err := cache.Open(ctx, filepath.Join(dir, "blobs"))
	if err != nil {
		return err
	}
	defer kept.Close()
	client := New(Options{Platform: "linux/amd64", Cache: kept, KeepBlobs: true, Registry: registry.Options{Retries: -1}})
	if _, err = client.Pull(ctx, store, ref); err != nil {
		return err
	}
	_, err = store.Verify(ctx, overlaystore.VerifyOptions{})
	return err
}

// resumable is a layer of noise.
func resumable(size int) []byte {
	return imagetest.Tar(imagetest.Dir("d/", 0o755), imagetest.File("d/a", imagetest.Noise(size/2)), imagetest.File("d/b", imagetest.Noise(size-size/2)))
}

// resumableForms are those of a layer; the short form has the first two.
var resumableForms = []struct {
	name, mediaType string
	pack            func(tree []byte) []byte
}{
	{"gzip of members", ocispec.MediaTypeImageLayerGzip, func(tree []byte) (members []byte) {
		for part := range slices.Chunk(tree, len(tree)/3+1) {
			members = append(members, imagetest.Gzip(part)...)
		}
		return members
	}},
	{"plain", ocispec.MediaTypeImageLayer, func(tree []byte) []byte { return tree }},
	{"gzip", ocispec.MediaTypeImageLayerGzip, func(tree []byte) []byte { return imagetest.Gzip(tree) }},
	{"zstd", ocispec.MediaTypeImageLayerZstd, func(tree []byte) []byte { return imagetest.StoredZstd(20, tree) }},
}

// A layer that is kept goes on where the killed process had it; in full, twenty
// times.
func TestKilledPullGoesOn(t *testing.T) {
	t.Parallel()
	size, kills := 1<<20, 1
	if full() {
		size, kills = 64<<20, 20
	}
	tree := resumable(size)
	for _, form := range some(2, resumableForms...) {
		t.Run(form.name, func(t *testing.T) {
			blob := form.pack(tree)
			p := newPausing(t, tree, blob, form.mediaType)
			dir := newStoreDir(t)
			for i := range kills {
				p.set(func() { p.until = int64(len(blob)) * int64(i+1) / int64(kills+1) })
				killed := childCommand(t.Context(), t, "blobs", 0, dir, p.ref)
				if err := killed.Start(); err != nil {
					t.Fatal(err)
				}
				<-p.paused
				waitForBlob(t, dir, p)
				_ = killed.Process.Kill()
				_ = killed.Wait() // it was killed
			}
			ranges := p.asked()
			p.set(func() { p.until = int64(len(blob)) })
			if err := pullBlobs(t.Context(), dir, p.ref); err != nil {
				t.Fatal(err)
			}
			ranges = append(ranges, p.asked()...)
			for i, r := range ranges {
				if i > 0 != strings.HasPrefix(r, "bytes=") {
					t.Errorf("request %d is for %q", i, r)
				}
			}
			if most := int64(len(blob)) * 115 / 100; full() && p.sent > most {
				t.Errorf("sent %d bytes of a layer of %d", p.sent, len(blob))
			}
			t.Logf("sent %d bytes of %d in %d responses", p.sent, len(blob), len(ranges))
		})
	}
}

// waitForBlob waits until all that was sent is in the file.
func waitForBlob(t *testing.T, dir string, p *pausing) {
	t.Helper()
	kept, err := cache.Open(t.Context(), filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	for end := time.Now().Add(time.Minute); kept.Begun(p.layer) < p.until; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d bytes came in a minute", kept.Begun(p.layer), p.until)
		}
	}
}

// However the registry answers, what is not the blob is not taken.
func TestResumedPullIsVerified(t *testing.T) {
	t.Parallel()
	tree := resumable(1 << 20)
	blob := imagetest.Gzip(tree)
	other := bytes.Clone(blob)
	other[len(other)-100] ^= 1
	for _, c := range []struct {
		name string
		blob []byte
		// plain is a registry without ranges, harm a file that was changed.
		plain bool
		want  error
	}{
		{"the same", blob, false, nil},
		{"without ranges", blob, true, nil},
		{"other bytes", other, false, errkind.Mismatch},
		{"other bytes without ranges", other, true, errkind.Mismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPausing(t, tree, blob, ocispec.MediaTypeImageLayerGzip)
			dir := newStoreDir(t)
			p.until = int64(len(blob)) / 2
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- pullBlobs(ctx, dir, p.ref) }()
			<-p.paused
			waitForBlob(t, dir, p)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatalf("ended with %v", err)
			}
			p.set(func() { p.blob, p.plain, p.until = c.blob, c.plain, int64(len(blob)) })
			p.asked()
			if err := pullBlobs(t.Context(), dir, p.ref); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if first := p.asked()[0]; !strings.HasPrefix(first, "bytes=") || strings.HasPrefix(first, "bytes=0-") {
				t.Errorf("asked for %q", first)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "blobs/.partial-*")); len(left) != 0 {
				t.Errorf("left are %v", left)
			}
			if layers, _ := filepath.Glob(filepath.Join(dir, "layers/*")); c.want != nil && len(layers) != 0 {
				t.Errorf("visible are %v", layers)
			}
		})
	}
}
