// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// testLayers are the files of layers, by their names.
var testLayers = map[string][]layertest.File{
	"base":   {layertest.Dir("tmp", 0o1777), layertest.Regular("etc", "base"), layertest.Dir("d", 0o700), layertest.Regular("d/f", "f"), layertest.Hardlink("d/g", "d/f")},
	"app":    {layertest.Implied("tmp"), layertest.Regular("tmp/app", "app"), layertest.Whiteout("etc")},
	"top":    {layertest.Implied("d"), layertest.Regular("d/top", "top"), layertest.Symlink("s", "d/top")},
	"opaque": {layertest.Regular("only", "this")},
}

// put makes a store's image of such layers, and the documents of it.
func put(t *testing.T, s *overlaystore.Store, ref string, names ...string) Image {
	t.Helper()
	var diffIDs []digest.Digest
	for _, name := range names {
		diffIDs = append(diffIDs, layertest.DiffID(name))
		putLayer(t, s, layertest.DiffID(name), overlaystore.LayerRecord{Facts: layer.Facts{RootOpaque: name == "opaque"}}, testLayers[name]...)
	}
	img := Image{Names: []string{ref}}
	img.Config = encode(t, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: diffIDs}, Author: ref,
	})
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(img.Config), Size: int64(len(img.Config))}, Layers: []ocispec.Descriptor{}}
	m.SchemaVersion = 2
	for _, d := range diffIDs {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerZstd, Digest: digest.FromString("blob " + d.String()), Size: 7})
	}
	img.Manifest = encode(t, m)
	return record(t, s, img, diffIDs)
}

func record(t *testing.T, s *overlaystore.Store, img Image, diffIDs []digest.Digest) Image {
	t.Helper()
	var err error
	img.Image, err = s.PutImage(t.Context(), overlaystore.Image{Manifest: digest.FromBytes(img.Manifest), Config: digest.FromBytes(img.Config), Layers: diffIDs})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range img.Names {
		if err := s.Tag(t.Context(), name, img.Image.Manifest, overlaystore.TagOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

func putLayer(t *testing.T, s *overlaystore.Store, diffID digest.Digest, rec overlaystore.LayerRecord, files ...layertest.File) {
	t.Helper()
	g, err := s.Stage(t.Context(), diffID)
	if errors.Is(err, overlaystore.ErrExists) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	rec.DiffID = diffID
	rec.Facts = layertest.Facts(rec.Facts, files)
	if err := errors.Join(layertest.Fill(g, s.Format().Form, files...), g.Seal(t.Context(), rec), s.Commit(t.Context(), g)); err != nil {
		t.Fatal(err)
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func openFrom(t *testing.T, dir string) *overlaystore.Store {
	t.Helper()
	layertest.NeedsMount(t)
	s, err := overlaystore.Open(t.Context(), filepath.Join(dir, "store"), overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openTo(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(dir, "engine"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func give(t *testing.T, to *Store, from *overlaystore.Store, img Image) Given {
	t.Helper()
	given, err := to.Give(t.Context(), from, img)
	if err != nil {
		t.Fatal(err)
	}
	return given
}

// check holds what the store promises whatever happened: each image of the list
// has its documents and all its layers, and each layer its links.
func check(t *testing.T, s *Store, when string) {
	t.Helper()
	r, err := s.records()
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	for _, i := range r.images {
		for _, name := range i.BigDataNames {
			raw, err := os.ReadFile(filepath.Join(s.path, imagesDir, i.ID, dataFile(name)))
			if err != nil || int64(len(raw)) != i.BigDataSizes[name] || digest.FromBytes(raw) != i.BigDataDigests[name] {
				t.Errorf("%s: image %s: %s has %d bytes, error %v; want %d", when, i.ID, name, len(raw), err, i.BigDataSizes[name])
			}
		}
		if i.Layer != "" && r.layer(i.Layer) == nil {
			t.Errorf("%s: image %s has no layer %s", when, i.ID, i.Layer)
		}
	}
	for _, l := range r.layers {
		if l.Parent != "" && r.layer(l.Parent) == nil {
			t.Errorf("%s: layer %s has no parent %s", when, l.ID, l.Parent)
		}
		link, err := os.ReadFile(filepath.Join(s.path, overlayDir, l.ID, "link"))
		if err != nil {
			t.Errorf("%s: %v", when, err)
			continue
		}
		byLink, err1 := os.Stat(filepath.Join(s.path, overlayDir, linksDir, string(link)))
		dir, err2 := os.Stat(filepath.Join(s.path, overlayDir, l.ID, "diff"))
		if err := errors.Join(err1, err2); err != nil || !os.SameFile(byLink, dir) {
			t.Errorf("%s: layer %s: its link leads elsewhere: %v", when, l.ID, err)
		}
	}
}

// shown mounts layers read-only and lists all that they show.
func shown(t *testing.T, in string, lower []string) string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for _, l := range lower {
		paths = append(paths, filepath.Join(in, l))
	}
	if len(paths) == 1 {
		paths = append(paths, t.TempDir())
	}
	if err := unix.Mount("overlay", dir, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(paths, ":")); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH) //nolint:errcheck // a test's
	var lines []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		var content []byte
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content, err = os.ReadFile(path)
		case unix.S_IFLNK:
			var target string
			target, err = os.Readlink(path)
			content = []byte(target)
		}
		lines = append(lines, fmt.Sprintf("%s %o %d:%d %v %q", strings.TrimPrefix(path, dir), st.Mode, st.Uid, st.Gid, st.Mtim, content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// asEngine mounts an image as engines do, by what is in its directories.
func asEngine(t *testing.T, s *Store, id string) string {
	t.Helper()
	r, err := s.records()
	if err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(s.path, overlayDir, r.image(id).Layer)
	link, err := os.ReadFile(filepath.Join(top, "link"))
	if err != nil {
		t.Fatal(err)
	}
	lower := []string{linksDir + "/" + string(link)}
	if raw, err := os.ReadFile(filepath.Join(top, "lower")); err == nil {
		lower = append(lower, strings.Split(string(raw), ":")...)
	}
	return shown(t, filepath.Join(s.path, overlayDir), lower)
}

func asStore(t *testing.T, s *overlaystore.Store, img overlaystore.Image) string {
	t.Helper()
	dirs, err := s.LowerDirs(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	var lower []string
	for _, d := range dirs {
		lower = append(lower, d.Link)
	}
	return shown(t, s.LinkDir(), lower)
}

const (
	one = "docker.io/library/one:1"
	two = "docker.io/library/two:2"
)

func TestGive(t *testing.T) {
	for _, c := range []struct {
		name   string
		layers []string
		fix    bool
	}{
		{"one layer", []string{"base"}, false},
		{"whiteouts and implied directories", []string{"base", "app"}, true},
		{"three layers", []string{"base", "app", "top"}, true},
		{"one layer twice", []string{"base", "top", "base"}, false},
		{"an opaque root", []string{"base", "opaque"}, false},
		{"an opaque root in the middle", []string{"base", "opaque", "top"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := layertest.MemoryDir(t)
			from, to := openFrom(t, dir), openTo(t, dir, Options{})
			img := put(t, from, one, c.layers...)
			if (img.Image.Fix != "") != c.fix {
				t.Errorf("fix layer %q, want any: %v", img.Image.Fix, c.fix)
			}
			given := give(t, to, from, img)
			check(t, to, "given")
			if got, want := asEngine(t, to, given.ID), asStore(t, from, img.Image); got != want {
				t.Errorf("the engine shows\n%s\nand the store\n%s", got, want)
			}
			if given.Copies+given.Clones != 0 || given.Links == 0 || given.Reason != nil {
				t.Errorf("%+v, want links only", given)
			}
			again := give(t, to, from, img)
			if again.Layers != 0 || again.Links != 0 {
				t.Errorf("given again: %+v, want nothing made", again)
			}
		})
	}
}

// TestLayersAreShared: a layer that two images have is made once, and the fix
// layer of the one is not in the other.
func TestLayersAreShared(t *testing.T) {
	dir := layertest.MemoryDir(t)
	from, to := openFrom(t, dir), openTo(t, dir, Options{})
	a, b := put(t, from, one, "base", "app", "top"), put(t, from, two, "base", "app")
	first, second := give(t, to, from, a), give(t, to, from, b)
	if first.Layers != 4 || second.Layers != 1 {
		t.Errorf("made %d and %d layers, want 4 and the fix layer", first.Layers, second.Layers)
	}
	for id, img := range map[string]Image{first.ID: a, second.ID: b} {
		if got, want := asEngine(t, to, id), asStore(t, from, img.Image); got != want {
			t.Errorf("the engine shows\n%s\nand the store\n%s", got, want)
		}
	}
	if _, err := to.Take(t.Context(), a.Image.Manifest); err != nil {
		t.Fatal(err)
	}
	check(t, to, "one taken")
	if got, want := asEngine(t, to, second.ID), asStore(t, from, b.Image); got != want {
		t.Errorf("after the other was taken the engine shows\n%s\nand the store\n%s", got, want)
	}
}

// TestLayerIDs has ids that podman 4.3 gave.
func TestLayerIDs(t *testing.T) {
	got := layerIDs([]digest.Digest{
		"sha256:d3ff08f84b3060739a581b48d2cc48e02c94765c583eee27bf28ea497870cb65",
		"sha256:63ca1fbb43ae5034640e5e6cb3e083e05c290072c5366fcaa9d62435a4cced85",
	})
	want := []string{"d3ff08f84b3060739a581b48d2cc48e02c94765c583eee27bf28ea497870cb65", "392eb51d921e9037ad5f3a278376ef0bc9641df6f4549fa6cd4833f3154898a8"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestRecordsAreTheEngines compares the lists with those that skopeo 1.9 wrote
// of the same image.
func TestRecordsAreTheEngines(t *testing.T) {
	dir := layertest.MemoryDir(t)
	from, to := openFrom(t, dir), openTo(t, dir, Options{})
	read := func(name string) []byte {
		raw, err := os.ReadFile("testdata/alpine/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	img := Image{Names: []string{"docker.io/library/alpine:3.20"}, Manifest: read("manifest"), Config: read("config"), Index: read("index")}
	diffID := digest.Digest("sha256:63ca1fbb43ae5034640e5e6cb3e083e05c290072c5366fcaa9d62435a4cced85")
	shadow := layertest.Regular("shadow", "")
	shadow.GID = 42
	putLayer(t, from, diffID, overlaystore.LayerRecord{Size: 8081920}, shadow)
	give(t, to, from, record(t, from, img, []digest.Digest{diffID}))
	for _, c := range []struct {
		name, got string
		// of the engine alone: the time, and what concerns signatures
		drop []string
	}{
		{"layers.json", layersDir + "/" + layersFile, []string{"created"}},
		{"images.json", imagesDir + "/" + imagesFile, []string{"metadata"}},
	} {
		raw, err := os.ReadFile(filepath.Join(to.path, c.got))
		if err != nil {
			t.Fatal(err)
		}
		got, want := reduced(t, raw, c.drop), reduced(t, read(c.name), c.drop)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%v\nwant\n%v", c.name, got, want)
		}
	}
	for _, name := range []string{"manifest", "=c2hhMjU2OmViYjg4ZGM4MWZhMWJkNTY1YjMzZDY4ZmJjMDI5OWViOTIxOGE4NTM3NTIwNjUyOGRjMDYyNzI0YzQwZDY0MTg="} {
		if _, err := os.Stat(filepath.Join(to.path, imagesDir, "ebb88dc81fa1bd565b33d68fbc0299eb9218a85375206528dc062724c40d6418", name)); err != nil {
			t.Error(err)
		}
	}
}

// reduced is a list of one record without the fields to drop, and without the
// document for signatures, which is empty.
func reduced(t *testing.T, raw []byte, drop []string) map[string]any {
	t.Helper()
	var list []map[string]any
	if err := json.Unmarshal(raw, &list); err != nil || len(list) != 1 {
		t.Fatalf("%s: %v", raw, err)
	}
	r := list[0]
	for _, name := range drop {
		delete(r, name)
	}
	for _, v := range r {
		if m, ok := v.(map[string]any); ok {
			for name := range m {
				if strings.HasPrefix(name, "signature-") {
					delete(m, name)
				}
			}
		}
	}
	if names, ok := r["big-data-names"].([]any); ok {
		r["big-data-names"] = slices.DeleteFunc(names, func(n any) bool { return strings.HasPrefix(n.(string), "signature-") })
	}
	return r
}

func TestNamesMove(t *testing.T) {
	dir := layertest.MemoryDir(t)
	from, to := openFrom(t, dir), openTo(t, dir, Options{})
	old, moved := put(t, from, one, "base"), put(t, from, one, "base", "top")
	was, is := give(t, to, from, old), give(t, to, from, moved)
	names := map[string][]string{}
	list, err := to.Images()
	if err != nil {
		t.Fatal(err)
	}
	for _, held := range list {
		names[held.ID] = held.Names
	}
	if len(names) != 2 || len(names[was.ID]) != 0 || !slices.Equal(names[is.ID], []string{one}) {
		t.Errorf("names %v, want %s on the new image alone", names, one)
	}
	taken, err := to.Prune(t.Context(), func(d digest.Digest) bool { return d == moved.Image.Manifest })
	if err != nil || len(taken.Images) != 1 || taken.Images[0].ID != was.ID {
		t.Errorf("pruned %+v, error %v; want the old image", taken, err)
	}
	check(t, to, "pruned")
}

func TestTake(t *testing.T) {
	for _, c := range []struct {
		name  string
		lists map[string]string // of a graph root; TOP and BASE stand for ids of layers, IMAGE for the image's
		kept  bool
		stay  int // layers
		err   bool
	}{
		{"nothing stands on it", nil, false, 0, false},
		{"a container", map[string]string{"overlay-layers/layers.json": `[{"id":"x","parent":"TOP"}]`}, true, 3, false},
		{"a container of the boot", map[string]string{"overlay-layers/volatile-layers.json": `[{"id":"x","parent":"TOP"}]`}, true, 3, false},
		{"a container with layers of mapped owners", map[string]string{"overlay-layers/layers.json": `[{"id":"x","parent":"BASE"}]`, "overlay-containers/containers.json": `[{"id":"c","image":"IMAGE","layer":"x"}]`}, true, 3, false},
		{"an image on its lowest layer", map[string]string{"overlay-layers/layers.json": `[{"id":"x","parent":"BASE"}]`}, false, 1, false},
		{"others", map[string]string{"overlay-layers/layers.json": `[{"id":"x"},{"id":"y","parent":"x"}]`, "overlay-containers/containers.json": `[]`}, false, 0, false},
		{"lists that nobody can read", map[string]string{"overlay-layers/layers.json": `[{`}, false, 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := layertest.MemoryDir(t)
			root := filepath.Join(dir, "root")
			from, to := openFrom(t, dir), openTo(t, dir, Options{GraphRoots: []string{filepath.Join(dir, "none"), root}})
			img := put(t, from, one, "base", "app")
			given := give(t, to, from, img)
			ids := layerIDs(img.Image.Layers)
			for name, list := range c.lists {
				path := filepath.Join(root, name)
				list = strings.NewReplacer("TOP", fixID(ids[1]), "BASE", ids[0], "IMAGE", given.ID).Replace(list)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(list), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			taken, err := to.Take(t.Context(), img.Image.Manifest, one)
			if (err != nil) != c.err {
				t.Fatalf("error %v, want any: %v", err, c.err)
			}
			if (len(taken.Kept) == 1) != c.kept || !c.err && len(taken.Images)+len(taken.Kept) != 1 {
				t.Errorf("taken %+v, want it kept: %v", taken, c.kept)
			}
			check(t, to, "taken")
			if dirs, _ := filepath.Glob(filepath.Join(to.path, overlayDir, strings.Repeat("?", 64))); len(dirs) != c.stay {
				t.Errorf("%d layers stay, want %d", len(dirs), c.stay)
			}
			if !c.kept || c.err {
				return
			}
			if err := os.RemoveAll(root); err != nil {
				t.Fatal(err)
			}
			pruned, err := to.Prune(t.Context(), func(digest.Digest) bool { return false })
			if err != nil || len(pruned.Images) != 1 || pruned.Layers != 3 {
				t.Errorf("without the container: pruned %+v, error %v", pruned, err)
			}
			checkNothing(t, to)
		})
	}
}

// TestMountsKeepLayers: a container runs whose graph root nobody told of.
func TestMountsKeepLayers(t *testing.T) {
	dir := layertest.MemoryDir(t)
	from, to := openFrom(t, dir), openTo(t, dir, Options{})
	img := put(t, from, one, "base", "top")
	given := give(t, to, from, img)
	r, err := to.records()
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	options := "lowerdir=" + filepath.Join(to.path, overlayDir, r.image(given.ID).Layer, "diff") + ":" + filepath.Join(to.path, overlayDir, linksDir, linkName(layerIDs(img.Image.Layers)[0]))
	if err := unix.Mount("overlay", target, "overlay", unix.MS_RDONLY, options); err != nil {
		t.Fatal(err)
	}
	layertest.UnmountLater(t, target)
	taken, err := to.Take(t.Context(), img.Image.Manifest)
	if err != nil || len(taken.Kept) != 1 {
		t.Errorf("taken %+v, error %v; want it kept", taken, err)
	}
}

// TestRenew: what the store has repaired is what engines mount from then on, and
// what is mounted goes on with what it has.
func TestRenew(t *testing.T) {
	dir := layertest.MemoryDir(t)
	from, to := openFrom(t, dir), openTo(t, dir, Options{})
	img := put(t, from, one, "base", "app")
	given := give(t, to, from, img)
	want := asEngine(t, to, given.ID)
	ids := layerIDs(img.Image.Layers)
	base := filepath.Join(to.path, overlayDir, ids[0], "diff")
	target := t.TempDir()
	if err := unix.Mount("overlay", target, "overlay", unix.MS_RDONLY, "lowerdir="+base+":"+t.TempDir()); err != nil {
		t.Fatal(err)
	}
	layertest.UnmountLater(t, target)
	if err := os.WriteFile(filepath.Join(base, "d", "f"), []byte("rot"), 0o644); err != nil {
		t.Fatal(err)
	}
	g, err := from.Restage(t.Context(), img.Image.Layers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	rec := overlaystore.LayerRecord{DiffID: img.Image.Layers[0], Facts: layertest.Facts(layer.Facts{}, testLayers["base"])}
	if err := errors.Join(layertest.Fill(g, from.Format().Form, testLayers["base"]...), g.Seal(t.Context(), rec), from.ReplaceLayer(t.Context(), g)); err != nil {
		t.Fatal(err)
	}
	renewed, err := to.Renew(t.Context(), from, img.Image.Layers[:1], []digest.Digest{img.Image.Fix})
	if err != nil || renewed != 2 {
		t.Fatalf("renewed %d, error %v; want the layer and the fix layer", renewed, err)
	}
	check(t, to, "renewed")
	if got := asEngine(t, to, given.ID); got != want {
		t.Errorf("the engine shows\n%s\nand before the rot\n%s", got, want)
	}
	if raw, err := os.ReadFile(filepath.Join(target, "d", "f")); err != nil || string(raw) != "rot" {
		t.Errorf("what was mounted has %q, error %v", raw, err)
	}
	if held, _ := filepath.Glob(filepath.Join(to.path, stagingDir, heldPrefix+"*")); len(held) != 1 {
		t.Errorf("held are %q, want the mounted one", held)
	}
	if err := unix.Unmount(target, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Take(t.Context(), img.Image.Manifest); err != nil {
		t.Fatal(err)
	}
	checkNothing(t, to)
}

// checkNothing holds that all that was given is gone.
func checkNothing(t *testing.T, s *Store) {
	t.Helper()
	for dir, want := range map[string]int{overlayDir: 1, overlayDir + "/" + linksDir: 0, imagesDir: 2, layersDir: 2, stagingDir: 0} {
		f, err := fsat.OpenDir(s.root, dir)
		if err != nil {
			t.Fatal(err)
		}
		names, err := fsat.Names(f)
		if f.Close(); err != nil || len(names) != want {
			t.Errorf("%s has %q, error %v; want %d names", dir, names, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	dir := layertest.MemoryDir(t)
	from, to := openFrom(t, dir), openTo(t, dir, Options{})
	img := put(t, from, one, "base")
	for _, c := range []struct {
		name string
		edit func(*Image)
		want error
	}{
		{"another config", func(i *Image) { i.Config = append([]byte(" "), i.Config...) }, errkind.Mismatch},
		{"another manifest", func(i *Image) { i.Manifest = []byte("{}") }, errkind.Mismatch},
		{"other layers than the config's", func(i *Image) { i.Image.Layers = []digest.Digest{layertest.DiffID("top")} }, errkind.Mismatch},
		{"a short name", func(i *Image) { i.Names = []string{"one"} }, errkind.Usage},
		{"a directory", func(i *Image) { i.Names = []string{"oci:/tmp"} }, errkind.Usage},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := img
			c.edit(&changed)
			if _, err := to.Give(t.Context(), from, changed); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	if taken, err := to.Take(t.Context(), img.Image.Manifest); err != nil || len(taken.Images) != 0 {
		t.Errorf("take what is not there: %+v, %v", taken, err)
	}
	checkNothing(t, to)
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		form layer.Form
		ok   bool
	}{
		{layer.Form{}, true},
		{layer.Form{Xattrs: layer.UserXattrs, IDs: layer.MappedIDs}, true},
		{layer.Form{Xattrs: layer.UserXattrs, IDs: layer.SquashedIDs}, false},
		{layer.Form{Whiteouts: layer.XattrMarks}, false},
	} {
		if err := fits(c.form); (err == nil) != c.ok || err != nil && !errors.Is(err, overlaystore.ErrUnsupported) {
			t.Errorf("%+v: error %v, want it to fit: %v", c.form, err, c.ok)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	engine := filepath.Join(dir, "engine")
	if err := errors.Join(os.MkdirAll(filepath.Join(engine, overlayDir), 0o700), os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dir string
		options   Options
		want      error
	}{
		{"an engine's own", engine, Options{}, errForeign},
		{"a directory with a file", dir, Options{}, errForeign},
		{"none", filepath.Join(dir, "none"), Options{Existing: true}, overlaystore.ErrNotFound},
		{"a new one", filepath.Join(dir, "new"), Options{}, nil},
		{"the same once more", filepath.Join(dir, "new"), Options{Existing: true}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.Context(), c.dir, c.options)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if s != nil {
				s.Close()
			}
		})
	}
	if err := os.WriteFile(filepath.Join(dir, "new", markerFile), []byte(`{"format":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "new"), Options{}); !errors.Is(err, errkind.Filesystem) {
		t.Errorf("a newer format: %v", err)
	}
}

// What another process gave to the store that both were about to make is there.
func TestBeginBesideAnother(t *testing.T) {
	dir := t.TempDir()
	from := openFrom(t, dir)
	img := put(t, from, "docker.io/library/a:1", "base")
	var once sync.Once
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if op == "open lock" {
			once.Do(func() { give(t, openTo(t, dir, Options{}), from, img) })
		}
		return nil
	})
	s, err := Open(ctx, filepath.Join(dir, "engine"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if held, err := s.Images(); err != nil || len(held) != 1 {
		t.Errorf("has %v, %v", held, err)
	}
	if err := s.mayBegin(); err != nil {
		t.Errorf("a store that another process has made: %v", err)
	}
}

// TestBothLocksOrNone: engines take the one lock while they hold the other, in
// both orders, so nobody may hold one and wait.
func TestBothLocksOrNone(t *testing.T) {
	layertest.NeedsRoot(t, "to own the store")
	to := openTo(t, layertest.MemoryDir(t), Options{})
	paths := []string{imagesDir + "/" + imagesLock, layersDir + "/" + layersLock}
	open := func(path string) *os.File {
		f, err := os.OpenFile(filepath.Join(to.path, path), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	for i := range paths {
		held, other := open(paths[i]), open(paths[1-i])
		if locked, err := setLock(held, unix.F_RDLCK); err != nil || !locked {
			t.Fatal(locked, err)
		}
		if locked, err := lockBoth(open(paths[0]), open(paths[1])); err != nil || locked {
			t.Errorf("both locked %v, error %v, while %s is held", locked, err, paths[i])
		}
		if locked, err := setLock(other, unix.F_RDLCK); err != nil || !locked {
			t.Errorf("who holds %s gets %s: %v, error %v", paths[i], paths[1-i], locked, err)
		}
		held.Close()
		other.Close()
		both := []*os.File{open(paths[0]), open(paths[1])}
		if locked, err := lockBoth(both[0], both[1]); err != nil || !locked {
			t.Errorf("both locked %v, error %v, while nobody holds any", locked, err)
		}
		both[0].Close()
		both[1].Close()
	}
}

// TestEnginesLocks: while an engine reads a list nobody changes it.
func TestEnginesLocks(t *testing.T) {
	dir := layertest.MemoryDir(t)
	from, to := openFrom(t, dir), openTo(t, dir, Options{})
	img := put(t, from, one, "base")
	for _, path := range []string{imagesDir + "/" + imagesLock, layersDir + "/" + layersLock} {
		f, err := os.OpenFile(filepath.Join(to.path, path), os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(f.Name())
		if err != nil || len(before) != lastWriter {
			t.Errorf("%s has %d bytes, error %v; want %d", path, len(before), err, lastWriter)
		}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err = to.Give(ctx, from, img)
		if cancel(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s is locked: error %v", path, err)
		}
		f.Close()
		give(t, to, from, img)
		after, err := os.ReadFile(f.Name())
		if err != nil || string(after) == string(before) {
			t.Errorf("%s is as before, error %v", path, err)
		}
		if _, err := to.Take(t.Context(), img.Image.Manifest); err != nil {
			t.Fatal(err)
		}
	}
}
