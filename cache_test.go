// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/referrers"
)

// cached is a registry with one image, a store with its cache, and the client
// between them.
type cached struct {
	*inspected
	ref   string
	image ocispec.Descriptor
	store *overlaystore.Store
	kept  *cache.Cache
}

func newCached(t *testing.T, o Options) *cached {
	t.Helper()
	return newCachedIn(t, o, overlaystore.Options{})
}

// newCachedIn is newCached with options of the store.
func newCachedIn(t *testing.T, o Options, in overlaystore.Options) *cached {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	store, err := overlaystore.Open(t.Context(), dir, in)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := cache.Open(t.Context(), filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(kept.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	o.Cache = kept
	s := &cached{inspected: newInspected(t, o), store: store, kept: kept}
	s.image = s.inspected.image(linuxARMv7)
	s.ref = s.serve(s.layout.Index(s.image))
	return s
}

func (s *cached) pull(t *testing.T, ref string) (Pulled, []string) {
	t.Helper()
	s.Requests()
	pulled, err := s.client.Pull(t.Context(), s.store, ref)
	if err != nil {
		t.Fatal(err)
	}
	return pulled, s.Requests()
}

// offline is the same client without a network.
func (s *cached) offline() *Client {
	o := s.client.options
	o.Offline = true
	return New(o)
}

func TestPullAsksTheCacheFirst(t *testing.T) {
	s := newCached(t, Options{})
	if _, asked := s.pull(t, s.ref); len(asked) != 5 {
		t.Errorf("the first pull asked %q, want index, manifest, config and two layers", asked)
	}
	want := []string{"HEAD manifests/latest"}
	if _, asked := s.pull(t, s.ref); !slices.Equal(asked, want) {
		t.Errorf("the second pull asked %q, want %q", asked, want)
	}
	for name, pinned := range map[string]string{"index": s.Tagged("latest").String(), "manifest": s.image.Digest.String()} {
		if _, asked := s.pull(t, s.Host+"/image@"+pinned); len(asked) != 0 {
			t.Errorf("a pull by the %s's digest asked %q", name, asked)
		}
	}
	// A tag that moves to what is known costs no more.
	moved := s.layout.Index(s.image, s.image)
	s.layout.Tag(moved, "moved")
	s.AddLayout(s.layout.Dir, "other")
	s.Add(ocispec.MediaTypeImageIndex, readFile(t, s.layout.Path(moved.Digest)), "latest")
	pulled, asked := s.pull(t, s.ref)
	if pulled.Root.Digest != moved.Digest || len(asked) != 2 {
		t.Errorf("after the tag moved: got %s, %q, want %s by two requests", pulled.Root.Digest, asked, moved.Digest)
	}
	if got, err := s.offline().Describe(t.Context(), s.ref); err != nil || got.Digest != moved.Digest {
		t.Errorf("offline: got %s, %v, want %s", got.Digest, err, moved.Digest)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOfflineWithoutACache(t *testing.T) {
	s := newInspected(t, Options{Offline: true})
	_, err := s.client.Resolve(t.Context(), s.Host+"/image")
	if !errors.Is(err, ErrOffline) || len(s.Requests()) != 0 {
		t.Errorf("got %v, want %v and no request", err, ErrOffline)
	}
}

// A blob that was damaged in the cache is fetched again, by a staging that
// saw nothing of it.
func TestDamageInTheCacheIsFetchedAgain(t *testing.T) {
	s := newCached(t, Options{KeepBlobs: true})
	pulled, _ := s.pull(t, s.ref)
	record, err := s.store.Layer(pulled.Image.Layers[0])
	if err != nil {
		t.Fatal(err)
	}
	blob := record.Blobs[0].Digest
	name := filepath.Join(s.store.Path(), "blobs", "blobs", "sha256", blob.Encoded())
	raw := readFile(t, name)
	raw[len(raw)-1] ^= 1 // the end of gzip's size: all is unpacked by then
	if err := os.WriteFile(name, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Remove(t.Context(), pulled.Reference.String(), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Prune(t.Context(), overlaystore.PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	var kinds []progress.Kind
	s.client.options.Jobs = 1
	s.client.options.Progress = func(e progress.Event) { kinds = append(kinds, e.Kind) }
	_, asked := s.pull(t, s.ref)
	if want := []string{"HEAD manifests/latest", "GET blobs/" + blob.String()}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if !slices.Contains(kinds, progress.LayerAgain) {
		t.Errorf("events %v, want %v among them", kinds, progress.LayerAgain)
	}
	if !s.kept.Has(ocispec.Descriptor{Digest: blob, Size: int64(len(raw))}) {
		t.Error("the good blob was not kept")
	}
}

func TestPruneCacheLeavesWhatIsNeeded(t *testing.T) {
	s := newCached(t, Options{KeepBlobs: true})
	s.pull(t, s.ref)
	other := s.layout.Image(linuxAMD64, imagetest.Tar(imagetest.File("other", "x")))
	raw := readFile(t, s.layout.Path(other.Digest))
	s.Add(ocispec.MediaTypeImageManifest, raw, "other")
	if _, _, err := s.client.Root(t.Context(), s.Host+"/image:other"); err != nil {
		t.Fatal(err)
	}
	foreign := []byte(`{}`)
	desc := ocispec.Descriptor{MediaType: "text/plain", Digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", Size: 2}
	if err := errors.Join(s.kept.Put(t.Context(), desc, strings.NewReader(string(foreign))), s.kept.Tag(t.Context(), "Not A Reference", desc)); err != nil {
		t.Fatal(err)
	}
	for _, o := range []overlaystore.PruneOptions{{DryRun: true}, {}} {
		gone, err := PruneCache(t.Context(), s.store, s.kept, o)
		if err != nil || len(gone.Names) != 1 || len(gone.Blobs) != 1 || gone.Blobs[0].Digest != other.Digest || gone.Bytes != int64(len(raw)) {
			t.Errorf("%+v: got %+v, %v, want the manifest that was only looked at", o, gone, err)
		}
	}
	if gone, err := PruneCache(t.Context(), s.store, s.kept, overlaystore.PruneOptions{}); err != nil || len(gone.Blobs) != 0 {
		t.Errorf("again: got %+v, %v", gone, err)
	}
	if !s.kept.Has(desc) {
		t.Error("what another program has named is gone")
	}
	if got, err := s.offline().Pull(t.Context(), s.store, s.ref); err != nil || got.Fetched != 0 {
		t.Errorf("got %d layers fetched, %v", got.Fetched, err)
	}
}

// What belongs to an image that is kept stays, and what belonged to one that is
// gone goes with it.
func TestPruneCacheKeepsAttachments(t *testing.T) {
	s := newCached(t, Options{})
	pulled, _ := s.pull(t, s.ref)
	image := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: pulled.Image.Manifest, Size: 7}
	stranger := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 4}
	s.ListReferrers()
	blob := s.Add("application/vnd.dev.cosign.simplesigning.v1+json", []byte("{}"))
	kept := []digest.Digest{
		s.Attachment(nil, "", []string{registrytest.CosignTag(image, ".sig")}, nil, blob).Digest,
		s.Attachment(&image, "application/spdx+json", nil, nil, blob).Digest,
	}
	other := s.Attachment(nil, "", []string{registrytest.CosignTag(stranger, ".sig")}, []string{"of", "another"}, blob).Digest
	src, err := s.client.open(t.Context(), s.ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []digest.Digest{image.Digest, stranger.Digest} {
		found, err := referrers.New(src, referrers.Options{}).Of(t.Context(), d, nil)
		if err != nil || len(found) == 0 {
			t.Fatalf("found %d, %v", len(found), err)
		}
	}
	src.Keep(t.Context())
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := PruneCache(t.Context(), s.store, s.kept, overlaystore.PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, d := range kept {
		if _, err := s.kept.Find(d); err != nil {
			t.Errorf("%s, which belongs to an image, is gone", d)
		}
	}
	if _, err := s.kept.Find(other); err == nil {
		t.Error("what belonged to another image is still there")
	}
}

func TestPlanThatDoesNotFit(t *testing.T) {
	s := newCached(t, Options{})
	layer := s.layout.Blob(ocispec.MediaTypeImageLayerGzip, imagetest.Gzip(imagetest.Tar()))
	layer.Size = 1 << 50
	config := ocispec.Image{Platform: linuxARMv7, RootFS: ocispec.RootFS{Type: "layers"}}
	config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
	huge := s.layout.Manifest(config, layer)
	s.layout.Tag(huge, "huge")
	s.AddLayout(s.layout.Dir, "ignored")
	ref := s.Host + "/image@" + huge.Digest.String()
	plan, err := s.client.Plan(t.Context(), s.store, ref)
	var space *overlaystore.SpaceError
	if err != nil || !errors.As(plan.Fits, &space) || space.What != "bytes" || plan.Fetch != 1<<50 || plan.Requests != 1 || plan.Exact {
		t.Errorf("got %+v, %v", plan, err)
	}
	s.Requests()
	if _, err := s.client.Pull(t.Context(), s.store, ref); !errors.As(err, &space) {
		t.Errorf("the pull ended with %v, want what the plan said", err)
	}
	if got := s.Requests(); len(got) != 0 {
		t.Errorf("asked %q for what cannot fit", got)
	}
}

// A prune beside a pull takes nothing of it from the cache, and the image is
// there offline afterwards.
func TestPruneCacheBesideAPull(t *testing.T) {
	s := newCached(t, Options{KeepBlobs: true})
	prune := func() PrunedBlobs {
		gone, err := PruneCache(t.Context(), s.store, s.kept, overlaystore.PruneOptions{})
		if err != nil {
			t.Error(err)
		}
		return gone
	}
	var heard atomic.Int64
	s.client.options.Progress = func(progress.Event) {
		heard.Add(1)
		if gone := prune(); len(gone.Blobs) != 0 {
			t.Errorf("beside a pull %+v went", gone)
		}
	}
	s.pull(t, s.ref)
	if gone := prune(); len(gone.Blobs) != 0 || heard.Load() == 0 {
		t.Errorf("after %d events and the pull %+v went", heard.Load(), gone)
	}
	if got, err := s.offline().Pull(t.Context(), s.store, s.ref); err != nil || got.Fetched != 0 {
		t.Errorf("offline: %d fetched, %v", got.Fetched, err)
	}
}

// A reference that moved on for one platform names an older image for another:
// what the cache has of that stays, so that it can be bundled offline.
func TestPruneCacheKeepsAnOlderImageOfAnotherPlatform(t *testing.T) {
	s := newCached(t, Options{})
	s.pull(t, s.ref)
	newer := s.layout.Index(s.inspected.image(linuxAMD64))
	s.layout.Tag(newer, "newer")
	s.AddLayout(s.layout.Dir, "other")
	s.Add(ocispec.MediaTypeImageIndex, readFile(t, s.layout.Path(newer.Digest)), "latest")
	if _, err := s.client.For("linux/amd64").Pull(t.Context(), s.store, s.ref); err != nil {
		t.Fatal(err)
	}
	if _, err := PruneCache(t.Context(), s.store, s.kept, overlaystore.PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	for p, image := range map[string]string{"linux/arm/v7": s.image.Digest.String(), "linux/amd64": ""} {
		ref := s.ref
		if image != "" {
			ref = s.Host + "/image@" + image
		}
		if _, err := s.offline().For(p).Config(t.Context(), ref); err != nil {
			t.Errorf("offline, the config for %s: %v", p, err)
		}
	}
	if err := s.store.Remove(t.Context(), s.Host+"/image:latest", s.image.Digest); err != nil {
		t.Fatal(err)
	}
	if gone, err := PruneCache(t.Context(), s.store, s.kept, overlaystore.PruneOptions{}); err != nil || len(gone.Blobs) < 2 {
		t.Errorf("without its name %d blobs of it went, %v", len(gone.Blobs), err)
	}
}
