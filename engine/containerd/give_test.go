// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	images "github.com/containerd/containerd/api/services/images/v1"
	introspection "github.com/containerd/containerd/api/services/introspection/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/layerctl/layerctl/engine/containerd/internal/contentwriter"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

type file = layertest.File

var (
	regular = layertest.Regular
	dir     = layertest.Dir
)

func openStore(t *testing.T, path string) *overlaystore.Store {
	t.Helper()
	s, err := overlaystore.Open(t.Context(), path, overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func addLayer(t *testing.T, s *overlaystore.Store, name string, files ...file) digest.Digest {
	t.Helper()
	g, err := s.Stage(t.Context(), layertest.DiffID(name))
	if errors.Is(err, overlaystore.ErrExists) {
		return layertest.DiffID(name)
	}
	if err == nil {
		err = layertest.Fill(g, s.Format().Form, files...)
	}
	if err == nil {
		err = g.Seal(t.Context(), overlaystore.LayerRecord{Facts: layertest.Facts(layer.Facts{}, files)})
	}
	if err == nil {
		err = s.Commit(t.Context(), g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g.DiffID()
}

// anImage puts an image of these layers, and makes documents of it.
func anImage(t *testing.T, s *overlaystore.Store, name string, layers ...digest.Digest) Image {
	t.Helper()
	config, err := json.Marshal(ocispec.Image{Author: name, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: layers}})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal(ocispec.Manifest{Config: ocispec.Descriptor{Digest: digest.FromBytes(config)}})
	if err != nil {
		t.Fatal(err)
	}
	img := overlaystore.Image{Manifest: digest.FromBytes(manifest), Config: digest.FromBytes(config), Layers: layers}
	index, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{{Digest: digest.FromString("another")}, {Digest: img.Manifest}}})
	if err != nil {
		t.Fatal(err)
	}
	if img, err = s.PutImage(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	return Image{
		Image: img, Names: []string{"docker.io/library/" + name}, OriginHost: "docker.io", OriginRepository: "library/" + name,
		Root:      ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(index), Size: int64(len(index))},
		RootBytes: index, ManifestBytes: manifest, ConfigBytes: config,
	}
}

func threeLayers(t *testing.T, s *overlaystore.Store) Image {
	t.Helper()
	return anImage(t, s, "three:1",
		addLayer(t, s, "one", dir(".", 0o750), dir("a", 0o700), regular("a/f", "one"), regular("b", "two")),
		addLayer(t, s, "two", dir("a", 0o711), regular("a/g", "three"), layertest.Whiteout("b")),
		addLayer(t, s, "three", layertest.Implied("."), layertest.Implied("a"), regular("a/h", "four")))
}

func connectTo(t *testing.T, f *fake) *Engine {
	t.Helper()
	e, err := Connect(t.Context(), Options{Address: f.socket()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// anEngine serves an engine with a store beside it, both in memory.
func anEngine(t *testing.T, rebase bool) (*fake, *Engine, *overlaystore.Store) {
	t.Helper()
	path := layertest.MemoryDir(t)
	f := newFake(t, path, rebase)
	return f, connectTo(t, f), openStore(t, filepath.Join(path, "store"))
}

// watched is a context in which the fake hears what is synced.
func (f *fake) watched(ctx context.Context) context.Context {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watching = true
	return durable.WithFault(ctx, func(op string) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if op == "syncfs" {
			f.synced = map[string]int{}
			for _, s := range f.snapshots {
				f.synced[s.dir] = contents(s.dir)
			}
		}
		return nil
	})
}

// contents is how many names a directory has, in those below it too.
func contents(dir string) (n int) {
	// What vanishes meanwhile does not count.
	_ = filepath.WalkDir(dir, func(string, fs.DirEntry, error) error {
		n++
		return nil
	})
	return n
}

// check says what is wrong with what the engine has.
func (f *fake) check(t *testing.T, when string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.early > 0 {
		t.Errorf("%s: %d snapshots were committed before they were on the disk", when, f.early)
	}
	for name, i := range f.images {
		if err := f.complete(i); err != nil {
			t.Errorf("%s: %s is listed, and %v", when, name, err)
		}
	}
}

// leftovers are what no image needs.
func (f *fake) leftovers() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.leases {
		list = append(list, "lease "+id)
	}
	for id, s := range f.snapshots {
		if !s.committed || len(f.images) == 0 {
			list = append(list, "snapshot "+id)
		}
	}
	if len(f.images) == 0 {
		for id := range f.blobs {
			list = append(list, "blob "+id)
		}
	}
	return list
}

func eachWay(t *testing.T, do func(t *testing.T, rebase bool)) {
	layertest.NeedsRoot(t, "to give files to an engine")
	t.Run("commits with parents", func(t *testing.T) { do(t, true) })
	t.Run("prepares on parents", func(t *testing.T) { do(t, false) })
}

func TestGive(t *testing.T) {
	eachWay(t, func(t *testing.T, rebase bool) {
		f, e, s := anEngine(t, rebase)
		img := threeLayers(t, s)
		given, err := e.Give(f.watched(t.Context()), s, img, GiveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if given.Namespace != "k8s.io" || given.Made != 3 || given.Links != 5 || given.Reason != nil {
			t.Errorf("given %+v", given)
		}
		f.check(t, "given")
		if left := f.leftovers(); left != nil {
			t.Errorf("left: %q", left)
		}
		chains := chainIDs(img.Layers)
		top := f.snapshots[chains[2].String()]
		if st, err := os.Stat(filepath.Join(top.dir, "a")); err != nil || st.Mode().Perm() != 0o711 {
			t.Errorf("an implied directory is %v, %v", st.Mode(), err)
		}
		if st, err := os.Stat(top.dir); err != nil || st.Mode().Perm() != 0o750 {
			t.Errorf("an implied root is %v, %v", st.Mode(), err)
		}
		if got := f.blobs[img.Image.Config.String()].labels["containerd.io/gc.ref.snapshot.overlayfs"]; got != chains[2].String() {
			t.Errorf("the config names the snapshot %s", got)
		}
		for _, name := range []string{img.Image.Config.String(), "docker.io/library/three:1"} {
			if i := f.images[name]; i == nil || i.Labels[pinnedLabel] != "pinned" || i.Labels[managedLabel] != "managed" || i.Target.Digest != img.Root.Digest.String() {
				t.Errorf("%s is %v", name, i)
			}
		}
		again, err := e.Give(f.watched(t.Context()), s, img, GiveOptions{})
		if err != nil || again.Made != 0 {
			t.Errorf("given again: %+v, %v", again, err)
		}
		taken, err := e.Take(t.Context(), s, img.Image.Manifest, nil)
		if err != nil || len(taken) != 2 {
			t.Errorf("taken %q, %v", taken, err)
		}
		if left := f.leftovers(); left != nil || len(f.images) > 0 {
			t.Errorf("left after it was taken: %q, %v", left, f.images)
		}
		if list, err := recordsOf(s); err != nil || len(list) > 0 {
			t.Errorf("records %v, %v", list, err)
		}
	})
}

// TestGiveToAnEngineThatDied: one that was killed while it made a snapshot cannot
// make the next one, and removes then what is in the way. Nothing else is made
// meanwhile: it would get the number of what is removed.
func TestGiveToAnEngineThatDied(t *testing.T) {
	eachWay(t, func(t *testing.T, rebase bool) {
		f, e, s := anEngine(t, rebase)
		f.leftBehind = true
		given, err := e.Give(f.watched(t.Context()), s, threeLayers(t, s), GiveOptions{})
		if err != nil || given.Made != 3 {
			t.Fatalf("given %+v, %v", given, err)
		}
		f.check(t, "given")
	})
}

// TestGiveBlobs: the compressed layers stay as long as the image, and a damaged
// one ends the give.
func TestGiveBlobs(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, true)
	img := threeLayers(t, s)
	blobs := [][]byte{make([]byte, 2*contentwriter.MessageSize+7), []byte("second"), {}}
	given := func(damage bool) error {
		img.Blobs = func(_ context.Context, use func(ocispec.Descriptor, io.Reader) error) error {
			for _, b := range blobs {
				r := io.Reader(bytes.NewReader(b))
				if damage {
					r = io.MultiReader(r, iotest.ErrReader(errkind.Mismatch))
				}
				if err := use(ocispec.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))}, r); err != nil {
					return err
				}
			}
			return nil
		}
		_, err := e.Give(f.watched(t.Context()), s, img, GiveOptions{})
		return err
	}
	if err := given(true); !errors.Is(err, errkind.Mismatch) {
		t.Errorf("damaged: %v", err)
	}
	if left := f.leftovers(); left != nil {
		t.Errorf("left after a damaged one: %q", left)
	}
	for range 2 {
		if err := given(false); err != nil {
			t.Fatal(err)
		}
		f.collect()
		for i, b := range blobs {
			got := f.blobs[digest.FromBytes(b).String()]
			if got == nil || !bytes.Equal(got.bytes, b) || got.labels["containerd.io/uncompressed"] != img.Layers[i].String() {
				t.Errorf("blob %d is not there, or another", i)
			}
		}
	}
	if _, err := e.Take(t.Context(), s, img.Image.Manifest, nil); err != nil {
		t.Fatal(err)
	}
	if left := f.leftovers(); left != nil {
		t.Errorf("left: %q", left)
	}
}

// TestGiveOnLayersThatAreThere: a chain's lowest layers came with another image.
func TestGiveOnLayersThatAreThere(t *testing.T) {
	eachWay(t, func(t *testing.T, rebase bool) {
		f, e, s := anEngine(t, rebase)
		img := threeLayers(t, s)
		below := anImage(t, s, "two:1", img.Layers[:2]...)
		above := anImage(t, s, "four:1", append(slices.Clone(img.Layers), addLayer(t, s, "four", layertest.Implied("."), regular("z", "five")))...)
		for _, i := range []Image{below, img, above} {
			given, err := e.Give(f.watched(t.Context()), s, i, GiveOptions{})
			if err != nil || given.Made != 2 && given.Made != 1 {
				t.Fatalf("given %+v, %v", given, err)
			}
		}
		if st, err := os.Stat(f.snapshots[chainIDs(above.Layers)[3].String()].dir); err != nil || st.Mode().Perm() != 0o750 {
			t.Errorf("an implied root is %v, %v", st.Mode(), err)
		}
		top := f.snapshots[chainIDs(img.Layers)[2].String()]
		if st, err := os.Stat(filepath.Join(top.dir, "a")); err != nil || st.Mode().Perm() != 0o711 {
			t.Errorf("an implied directory is %v, %v", st.Mode(), err)
		}
		if _, err := e.Take(t.Context(), s, below.Image.Manifest, nil); err != nil {
			t.Fatal(err)
		}
		f.check(t, "taken the other one")
		if f.images["docker.io/library/three:1"] == nil || f.images["docker.io/library/two:1"] != nil {
			t.Errorf("images %v", f.images)
		}
	})
}

// TestGiveKeepsWhatIsThere: what another client lets go meanwhile stays.
func TestGiveKeepsWhatIsThere(t *testing.T) {
	eachWay(t, func(t *testing.T, rebase bool) {
		f, e, s := anEngine(t, rebase)
		img := threeLayers(t, s)
		if _, err := e.Give(t.Context(), s, anImage(t, s, "two:1", img.Layers[:2]...), GiveOptions{HandOver: true}); err != nil {
			t.Fatal(err)
		}
		f.call = func(int) (before, after error) {
			if f.methods[len(f.methods)-1] == "View" {
				clear(f.images)
				f.collect()
			}
			return nil, nil
		}
		if given, err := e.Give(t.Context(), s, img, GiveOptions{}); err != nil || given.Made != 1 {
			t.Errorf("given %+v, %v", given, err)
		}
		f.check(t, "given")
	})
}

// TestHandOverInterrupted: of a hand-over that died and was taken back there are
// no journals.
func TestHandOverInterrupted(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, true)
	img := threeLayers(t, s)
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if journals(t, s) == len(img.Layers) {
			return unix.EIO
		}
		return nil
	})
	if _, err := e.Give(ctx, s, img, GiveOptions{HandOver: true}); !errors.Is(err, unix.EIO) || journals(t, s) != len(img.Layers) {
		t.Fatalf("%d journals, %v", journals(t, s), err)
	}
	f.check(t, "interrupted")
	if _, err := e.Take(t.Context(), s, img.Image.Manifest, nil); err != nil || journals(t, s) != 0 {
		t.Errorf("%d journals are left, %v", journals(t, s), err)
	}
}

// journals is how many the store keeps of what was handed over.
func journals(t *testing.T, s *overlaystore.Store) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.Path(), "engines/journals/*/files.zst"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// TestGiveBesideTheCollector: what the engine removes after it was seen is made. Of
// layers below that another image has left there, for the documents of this one
// would keep them all.
func TestGiveBesideTheCollector(t *testing.T) {
	eachWay(t, func(t *testing.T, rebase bool) {
		f, e, s := anEngine(t, rebase)
		img := threeLayers(t, s)
		if _, err := e.Give(t.Context(), s, anImage(t, s, "two:1", img.Layers[:2]...), GiveOptions{HandOver: true}); err != nil {
			t.Fatal(err)
		}
		clear(f.images) // only the collector has not come yet
		f.call = func(int) (before, after error) {
			if f.methods[len(f.methods)-1] == "AddResource" {
				f.collect()
				f.call = func(int) (error, error) { return nil, nil } // locked
			}
			return nil, nil
		}
		if given, err := e.Give(t.Context(), s, img, GiveOptions{}); err != nil || given.Made != len(img.Layers) {
			t.Errorf("given %+v, %v", given, err)
		}
		f.check(t, "given")
	})
}

func TestNames(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, true)
	one := addLayer(t, s, "one", dir(".", 0o755), regular("f", "one"))
	old, next := anImage(t, s, "x:1", one), anImage(t, s, "y:1", one)
	next.Names = old.Names
	give := func(img Image, o GiveOptions) error {
		_, err := e.Give(f.watched(t.Context()), s, img, o)
		return err
	}
	if err := errors.Join(give(old, GiveOptions{}), give(next, GiveOptions{})); err != nil {
		t.Fatal(err)
	}
	if got := f.images[old.Names[0]].Target.Digest; got != next.Root.Digest.String() {
		t.Errorf("a tag that moved names %s", got)
	}
	if _, err := e.Take(t.Context(), s, old.Image.Manifest, nil); err != nil || f.images[old.Names[0]] == nil {
		t.Errorf("taking what it named before takes it: %v", err)
	}
	if err := give(next, GiveOptions{HandOver: true}); err != nil || f.images[next.Names[0]].Labels[pinnedLabel] != "" || f.images[next.Names[0]].Labels[ownerLabel] != "" {
		t.Errorf("handed over: %v, %v", f.images[next.Names[0]], err)
	}
	if _, err := e.Take(t.Context(), s, next.Image.Manifest, nil); err != nil || f.images[next.Names[0]] == nil {
		t.Errorf("what was handed over is taken: %v", err)
	}
	f.images["docker.io/library/theirs:1"] = &images.Image{Name: "docker.io/library/theirs:1", Target: &types.Descriptor{Digest: digest.FromString("theirs").String()}}
	old.Names = []string{"docker.io/library/theirs:1"}
	before := len(f.methods)
	if err := give(old, GiveOptions{}); !errors.Is(err, errkind.Busy) {
		t.Errorf("another client's name: %v", err)
	}
	if calls := f.methods[before:]; slices.Contains(calls, "Prepare") || slices.Contains(calls, "Write") {
		t.Errorf("and before that was known: %q", calls)
	}
	f.images["docker.io/library/theirs:1"].Target.Digest = old.Root.Digest.String()
	given, err := e.Give(f.watched(t.Context()), s, old, GiveOptions{})
	if err != nil || f.images["docker.io/library/theirs:1"].Labels[ownerLabel] != "" || !slices.Equal(given.Foreign, old.Names) {
		t.Errorf("another client's name of the same image: %+v, %v", given, err)
	}
	f.check(t, "at the end")
}

// TestGiveBesideDamagedRecords: only the damaged record of the same image keeps it from
// being given.
func TestGiveBesideDamagedRecords(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	_, e, s := anEngine(t, true)
	img := threeLayers(t, s)
	two := anImage(t, s, "two:1", img.Layers[:2]...)
	give := func(i Image) error {
		_, err := e.Give(t.Context(), s, i, GiveOptions{})
		return err
	}
	if err := give(two); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(s.Path(), "engines/*.json"))
	if err != nil || len(names) != 1 {
		t.Fatalf("the records are %q, %v", names, err)
	}
	if err := os.WriteFile(names[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := give(img); err != nil {
		t.Errorf("another image: %v", err)
	}
	if err := give(two); err == nil || !strings.Contains(err.Error(), filepath.Base(names[0])) {
		t.Errorf("the image of the damaged record: %v", err)
	}
}

// TestGiveBesideARemoval: a name that another client removes, just when it was in the
// way of the new one, is made.
func TestGiveBesideARemoval(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, true)
	img := threeLayers(t, s)
	name := img.Names[0]
	f.images[name] = &images.Image{Name: name, Target: &types.Descriptor{Digest: img.Root.Digest.String()}}
	f.call = func(int) (before, after error) {
		if n := len(f.methods); n > 1 && f.methods[n-2] == "Create" && f.methods[n-1] == "Get" {
			delete(f.images, name)
		}
		return nil, nil
	}
	given, err := e.Give(t.Context(), s, img, GiveOptions{})
	if err != nil || given.Foreign != nil || f.images[name] == nil || f.images[name].Labels[pinnedLabel] != "pinned" {
		t.Errorf("given %+v, %v, and the name is %v", given, err, f.images[name])
	}
}

func TestRefusals(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	for _, c := range []struct {
		name   string
		option Options
		mounts []*types.Mount
		plugin string
		want   string
	}{
		{"another snapshotter", Options{Snapshotter: "stargz"}, nil, "stargz", "only overlayfs"},
		{"one that it has not", Options{Snapshotter: Erofs}, nil, "overlayfs", "no snapshotter erofs"},
		{"files of a store of directories", Options{Snapshotter: Erofs}, nil, "erofs", "this one has directories"},
		{"none of that name", Options{}, nil, "btrfs", "no snapshotter overlayfs"},
		{"user namespace", Options{}, []*types.Mount{{Type: "overlay", Options: []string{"userxattr", "upperdir=/x"}}}, "overlayfs", "user namespace"},
		{"fuse", Options{}, []*types.Mount{{Type: "fuse3.fuse-overlayfs", Options: []string{"upperdir=/x"}}}, "overlayfs", "fuse3.fuse-overlayfs"},
		{"elsewhere", Options{}, []*types.Mount{{Type: "bind", Source: "/nowhere/at/all"}}, "overlayfs", "not there for this process"},
		{"filled", Options{}, []*types.Mount{{Type: "bind", Source: "/proc"}}, "overlayfs", "not empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _, s := anEngine(t, true)
			f.plugins = []*introspection.Plugin{{Type: "io.containerd.snapshotter.v1", ID: c.plugin, Capabilities: []string{"rebase"}}}
			f.mounts = c.mounts
			c.option.Address = f.socket()
			e, err := Connect(t.Context(), c.option)
			if err == nil {
				defer e.Close()
				_, err = e.Give(f.watched(t.Context()), s, threeLayers(t, s), GiveOptions{})
			}
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
			if left := f.leftovers(); left != nil {
				t.Errorf("left: %q", left)
			}
		})
	}
	if _, err := Connect(t.Context(), Options{Address: filepath.Join(t.TempDir(), "c.sock")}); !errors.Is(err, errkind.Network) {
		t.Errorf("nobody there: %v", err)
	}
}

// TestGiveInterrupted loses one call after the other, or its answer, and all
// that come after it, as when the engine or this process ends: what the engine
// lists then is whole, and the next run ends well.
func TestGiveInterrupted(t *testing.T) {
	eachWay(t, func(t *testing.T, rebase bool) {
		for _, when := range []string{"before", "after"} {
			for n := 1; ; n += every(7) {
				if !interrupted(t, rebase, when, n) {
					t.Logf("%s: %d steps", when, n-1)
					break
				}
			}
		}
	})
}

// interrupted loses call n, and says whether there was one.
func interrupted(t *testing.T, rebase bool, when string, n int) bool {
	f, e, s := anEngine(t, rebase)
	img := threeLayers(t, s)
	f.ask(func(i int) (before, after error) {
		lost := status.Error(codes.Unavailable, "lost")
		switch {
		case i > n || i == n && when == "before":
			return lost, nil
		case i == n:
			return nil, lost
		}
		return nil, nil
	})
	_, err := e.Give(f.watched(t.Context()), s, img, GiveOptions{})
	reached := f.reached(n)
	if reached && !errors.Is(err, errkind.Network) {
		t.Errorf("%s call %d (%s): error %v", when, n, f.methods[n], err)
	}
	f.ask(nil)
	f.check(t, "interrupted")
	if n%2 == 0 {
		if _, err := e.Take(t.Context(), s, img.Image.Manifest, nil); err != nil {
			t.Errorf("%s call %d: take: %v", when, n, err)
		}
		if left := f.leftovers(); left != nil || len(f.images) > 0 {
			t.Errorf("%s call %d: taken, and there are %q, %v", when, n, left, f.images)
		}
	}
	if _, err := e.Give(f.watched(t.Context()), s, img, GiveOptions{}); err != nil {
		t.Errorf("%s call %d: the next run: %v", when, n, err)
	}
	f.check(t, "the next run")
	if left := f.leftovers(); left != nil || f.images["docker.io/library/three:1"] == nil {
		t.Errorf("%s call %d: left %q, images %v", when, n, left, f.images)
	}
	return reached
}

func recordsOf(s *overlaystore.Store) ([]given.Record, error) { return given.List(s.Dir()) }

// every is 1 where each step of a kind is tried; else one of some is.
func every(some int) int {
	if os.Getenv("LAYERCTL_FULL") == "1" {
		return 1
	}
	return some
}

// TestGiveFaults makes one step on the disk after the other fail.
func TestGiveFaults(t *testing.T) {
	eachWay(t, func(t *testing.T, rebase bool) {
		for n := 1; ; n += every(11) {
			f, e, s := anEngine(t, rebase)
			img := threeLayers(t, s)
			ctx, failed := durable.WithFaultAt(t.Context(), n-1, func() error { return unix.EIO })
			_, err := e.Give(ctx, s, img, GiveOptions{})
			if *failed == "" {
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%d operations", n-1)
				return
			}
			if !errors.Is(err, unix.EIO) {
				t.Errorf("step %d (%s): error %v", n, *failed, err)
			}
			f.check(t, *failed)
			if left := f.leftovers(); left != nil {
				t.Errorf("step %d (%s): left %q", n, *failed, left)
			}
			if _, err := e.Give(f.watched(t.Context()), s, img, GiveOptions{}); err != nil {
				t.Errorf("step %d (%s): the next run: %v", n, *failed, err)
			}
			f.check(t, "the next run")
		}
	})
}
