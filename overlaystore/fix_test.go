// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

type testLayer struct {
	files   []file
	foreign []layer.ForeignLink
}

func layerOf(files ...file) testLayer { return testLayer{files: files} }

// What the mounted stack must show. A want is one line for each path that
// matters: the path, then type, mode, owner, time and attributes of a
// directory, or the content of a file and its link count. "plain" is 0755,
// root, the epoch; "-" is a path that is not there.
func TestFixLayer(t *testing.T) {
	needsMount(t)
	needsRoot(t, "its files have owners")
	link := func(p, target string) layer.ForeignLink {
		return layer.ForeignLink{Path: layer.Path(p), Target: layer.Path(target)}
	}
	for _, c := range []struct {
		name   string
		layers []testLayer // the lowest first
		want   map[string]string
		fixed  []string // what the fix layer holds; nil for no fix layer
	}{
		{
			"nothing to mend",
			[]testLayer{layerOf(said("tmp", 0o1777, 0)), layerOf(said("tmp", 0o1777, 0), regular("tmp/f", "x"))},
			map[string]string{"tmp": "1777 0 said"}, nil,
		},
		{
			"an implied directory over a said one",
			[]testLayer{
				layerOf(said("tmp", 0o1777, 7, "user.note", "kept")),
				layerOf(implied("tmp"), regular("tmp/f", "x")),
			},
			map[string]string{"tmp": "1777 7 said user.note=kept", "tmp/f": "x 1"},
			[]string{"tmp"},
		},
		{
			"implied twice, nearest speaker wins",
			[]testLayer{
				layerOf(said("d", 0o700, 1)), layerOf(said("d", 0o750, 2)),
				layerOf(implied("d"), regular("d/a", "x")), layerOf(implied("d"), regular("d/b", "x")),
			},
			map[string]string{"d": "0750 2 said"}, []string{"d"},
		},
		{
			"implied below, said on top",
			[]testLayer{layerOf(implied("d"), regular("d/a", "x")), layerOf(said("d", 0o700, 3))},
			map[string]string{"d": "0700 3 said"}, nil,
		},
		{
			"said by nobody",
			[]testLayer{layerOf(implied("d"), regular("d/a", "x")), layerOf(implied("d"), regular("d/b", "x"))},
			map[string]string{"d": "plain"}, nil,
		},
		{
			"through an opaque mark: the children go, the directory stays",
			[]testLayer{
				layerOf(said("d", 0o1777, 7), regular("d/old", "x")),
				layerOf(opaque(implied("d"), layer.Marked), regular("d/new", "x")),
			},
			map[string]string{"d": "1777 7 said", "d/old": "-", "d/new": "x 1"}, []string{"d"},
		},
		{
			"not through a replaced directory",
			[]testLayer{
				layerOf(said("d", 0o1777, 7), regular("d/old", "x")),
				layerOf(opaque(implied("d"), layer.Replaced), regular("d/new", "x")),
			},
			map[string]string{"d": "plain", "d/old": "-"}, nil,
		},
		{
			"not below an opaque directory",
			[]testLayer{
				layerOf(said("d", 0o700, 7), said("d/e", 0o700, 7)),
				layerOf(opaque(said("d", 0o711, 1), layer.Marked), implied("d/e"), regular("d/e/f", "x")),
			},
			map[string]string{"d": "0711 1 said", "d/e": "plain"}, nil,
		},
		{
			"not through a whiteout in a layer between",
			[]testLayer{
				layerOf(said("d", 0o700, 7)), layerOf(whiteout("d")), layerOf(implied("d"), regular("d/f", "x")),
			},
			map[string]string{"d": "plain"}, nil,
		},
		{
			"not through a file or a symbolic link between",
			[]testLayer{
				layerOf(said("d", 0o700, 7), said("e", 0o700, 7), said("e/f", 0o700, 7)),
				layerOf(regular("d", "x"), symlink("e", "d")),
				layerOf(implied("d"), regular("d/f", "x"), implied("e"), implied("e/f"), regular("e/f/g", "x")),
			},
			map[string]string{"d": "plain", "e": "plain", "e/f": "plain"}, nil,
		},
		{
			"covered by a layer above, so of no account",
			[]testLayer{layerOf(said("d", 0o700, 7)), layerOf(implied("d"), regular("d/f", "x")), layerOf(whiteout("d"))},
			map[string]string{"d": "-"}, nil,
		},
		{
			"the root",
			[]testLayer{layerOf(said(".", 0o711, 5)), layerOf(regular("f", "x"))},
			map[string]string{".": "0711 5 said"}, []string{},
		},
		{
			"parents in the fix layer are as they should be",
			[]testLayer{
				layerOf(said(".", 0o711, 5), said("a", 0o750, 1), said("a/b", 0o700, 2), said("a/b/c", 0o1777, 3)),
				layerOf(said(".", 0o711, 5), said("a", 0o751, 4), implied("a/b"), implied("a/b/c"), regular("a/b/c/f", "x")),
			},
			map[string]string{".": "0711 5 said", "a": "0751 4 said", "a/b": "0700 2 said", "a/b/c": "1777 3 said"},
			[]string{"a", "a/b", "a/b/c"},
		},
		{
			"a whiteout in a directory that only its layer has",
			[]testLayer{layerOf(regular("f", "x")), layerOf(said("d", 0o700, 7), whiteout("d/ghost"), regular("d/real", "x"))},
			map[string]string{"d": "0700 7 said", "d/ghost": "-", "d/real": "x 1"}, []string{"d"},
		},
		{
			"a whiteout in the bottom layer, deep down",
			[]testLayer{layerOf(implied("a"), implied("a/b"), whiteout("a/b/ghost"))},
			map[string]string{"a/b/ghost": "-", "a": "plain", "a/b": "plain"}, []string{"a", "a/b"},
		},
		{
			"a whiteout in a directory that is opaque higher up",
			[]testLayer{
				layerOf(said("d", 0o755, 0), regular("d/f", "x")),
				layerOf(said("d", 0o755, 0), whiteout("d/f")),
				layerOf(opaque(said("d", 0o755, 0), layer.Marked)),
			},
			map[string]string{"d/f": "-"}, nil,
		},
		{
			"a whiteout whose directory lost its lower ones",
			[]testLayer{
				layerOf(said("d", 0o755, 0), regular("d/f", "x")),
				layerOf(whiteout("d")),
				layerOf(said("d", 0o755, 0), whiteout("d/f")),
			},
			map[string]string{"d/f": "-"}, []string{"d"},
		},
		{
			"a directory for whiteouts only that no lower layer has",
			[]testLayer{
				layerOf(regular("f", "x"), said("a", 0o700, 1), said("seen", 0o700, 2)),
				layerOf(implied("a"), bare("a/void"), bare("a/void/deep"), whiteout("a/void/deep/f"), bare("seen"), whiteout("seen/f")),
			},
			map[string]string{"a": "0700 1 said", "a/void": "-", "seen": "0700 2 said", "seen/f": "-"},
			[]string{"a", "a/void", "seen"},
		},
		{
			"whiteouts below a file of a lower layer",
			[]testLayer{
				layerOf(said("d", 0o700, 7), regular("d/file", "content"), hardlink("same", "d/file")),
				layerOf(implied("d"), bare("d/file"), bare("d/file/sub"), whiteout("d/file/sub/x")),
				layerOf(implied("d"), bare("d/file"), whiteout("d/file/y")),
			},
			map[string]string{"d": "0700 7 said", "d/file": "content 2", "same": "content 2"},
			[]string{"d", "d/file", "same"},
		},
		{
			"a hard link to a file in a lower layer",
			[]testLayer{
				layerOf(said("d", 0o700, 7), regular("d/orig", "content"), hardlink("d/same", "d/orig")),
				{[]file{said("e", 0o750, 1)}, []layer.ForeignLink{link("e/link", "d/orig"), link("e/link2", "d/same")}},
			},
			map[string]string{
				"d": "0700 7 said", "e": "0750 1 said", "e/link": "content 4", "e/link2": "content 4", "d/orig": "content 4", "d/same": "content 4",
			},
			[]string{"d", "d/orig", "d/same", "e", "e/link", "e/link2"},
		},
		{
			"a hard link whose target is replaced above",
			[]testLayer{
				layerOf(regular("orig", "old")), {nil, []layer.ForeignLink{link("link", "orig")}}, layerOf(regular("orig", "new")),
			},
			map[string]string{"link": "old 1", "orig": "new 1"}, []string{"link"},
		},
		{
			"a hard link that a layer above deletes or replaces",
			[]testLayer{
				layerOf(regular("orig", "old")),
				{nil, []layer.ForeignLink{link("gone", "orig"), link("other", "orig")}},
				layerOf(whiteout("gone"), regular("other", "new")),
			},
			map[string]string{"gone": "-", "other": "new 1", "orig": "old 1"}, nil,
		},
		{
			"a hard link to a hard link to a lower layer",
			[]testLayer{
				layerOf(regular("a", "x")), {nil, []layer.ForeignLink{link("b", "a")}}, {nil, []layer.ForeignLink{link("c", "b")}},
			},
			map[string]string{"a": "x 3", "b": "x 3", "c": "x 3"}, []string{"a", "b", "c"},
		},
		{
			"a hard link by way of a symbolic link to a directory",
			[]testLayer{
				layerOf(said("usr", 0o755, 0), said("usr/bin", 0o755, 0), regular("usr/bin/sh", "sh"), symlink("bin", "/usr/bin")),
				{nil, []layer.ForeignLink{link("link", "bin/sh")}},
			},
			map[string]string{"link": "sh 2", "usr/bin/sh": "sh 2"}, []string{"link", "usr", "usr/bin", "usr/bin/sh"},
		},
		{
			"a hard link to a symbolic link",
			[]testLayer{layerOf(symlink("a", "target")), {nil, []layer.ForeignLink{link("b", "a")}}},
			map[string]string{"b": "-> target 2"}, []string{"a", "b"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openStore(t)
			var ids []digest.Digest
			for i, l := range c.layers {
				ids = append(ids, addLayer(t, s, fmt.Sprint(c.name, i), LayerRecord{Facts: layer.Facts{ForeignLinks: l.foreign}}, l.files...))
			}
			img := putImage(t, s, "fix", ids...)
			target := t.TempDir()
			mountImage(t, s, img, target)
			for _, p := range slices.Sorted(maps.Keys(c.want)) {
				want := strings.ReplaceAll(c.want[p], "plain", "0755 0 epoch")
				if got := show(t, filepath.Join(target, p)); got != want {
					t.Errorf("%s shows %q, want %q", p, got, want)
				}
			}
			checkNoGhost(t, target)
			checkFixLayer(t, s, img, c.fixed)
		})
	}
}

func checkFixLayer(t *testing.T, s *Store, img Image, want []string) {
	t.Helper()
	if (img.Fix != "") != (want != nil) {
		t.Errorf("there is a fix layer: %v, want %v", img.Fix != "", want != nil)
	}
	if img.Fix == "" {
		return
	}
	var got []string
	root := filepath.Join(s.Path(), "fix", img.Fix.Encoded(), "fs")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(root, p); rel != "." {
			got = append(got, rel)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the fix layer holds %q, want %q", got, want)
	}
	if again, err := s.PutImage(t.Context(), img); err != nil || again.Fix != img.Fix {
		t.Errorf("put again: fix %v, error %v", again.Fix, err)
	}
}

// show tells what is at p in a few words.
func show(t *testing.T, p string) string {
	t.Helper()
	f, err := os.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		t.Fatal(err)
	}
	switch {
	case f.Mode().IsRegular():
		body, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(string(body), " ", st.Nlink)
	case f.Mode()&fs.ModeSymlink != 0:
		link, _ := os.Readlink(p)
		return fmt.Sprint("-> ", link, " ", st.Nlink)
	}
	when := f.ModTime().UTC().String()
	switch {
	case f.ModTime().Equal(testTime):
		when = "said"
	case f.ModTime().Equal(epoch):
		when = "epoch"
	}
	d, err := os.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	a, _, err := lowerdir.Attributes(d)
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%04o %d %s", st.Mode&0o7777, st.Uid, when)
	for _, name := range slices.Sorted(maps.Keys(a.Xattrs)) {
		out += " " + name + "=" + a.Xattrs[name]
	}
	return out
}

// checkNoGhost looks for names that are listed and do not exist.
func checkNoGhost(t *testing.T, target string) {
	t.Helper()
	err := filepath.WalkDir(target, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		_, err = os.Lstat(p)
		return err
	})
	if err != nil {
		t.Errorf("a name that does not exist: %v", err)
	}
}

// An image repeats its base on top, and a layer between links into it.
func TestForeignLinkIntoARepeatedLayer(t *testing.T) {
	s := openStore(t)
	base := addLayer(t, s, "base", LayerRecord{}, regular("file", "x"))
	top := addLayer(t, s, "top", LayerRecord{Facts: layer.Facts{ForeignLinks: []layer.ForeignLink{{Path: "link", Target: "file"}}}})
	img := putImage(t, s, "repeated", base, top, base)
	checkFixLayer(t, s, img, []string{"file", "link"})
}

func TestForeignLinkWithoutTarget(t *testing.T) {
	s := openStore(t)
	base := addLayer(t, s, "base", LayerRecord{}, dir("d", 0o755), regular("gone", "x"))
	top := addLayer(t, s, "mid", LayerRecord{}, whiteout("gone"))
	for i, target := range []layer.Path{"nowhere", "d", "gone", "d/../../nowhere"} {
		l := addLayer(t, s, fmt.Sprint("link", i), LayerRecord{Facts: layer.Facts{ForeignLinks: []layer.ForeignLink{{Path: "link", Target: target}}}})
		_, err := s.PutImage(t.Context(), Image{Manifest: digest.FromString("m"), Layers: []digest.Digest{base, top, l}})
		if !errors.Is(err, errkind.Malformed) || !strings.Contains(fmt.Sprint(err), string(target)) {
			t.Errorf("target %q: %v, want a malformed image", target, err)
		}
	}
	checkEmpty(t, s, storedirs.Images, storedirs.Fix, storedirs.Staging)
}

// The kernel mounts 500 layers, and the fix layer is one: an image that has as
// many and needs it is refused before it is made, with what it is needed for.
func TestFixLayerIsOneTooMany(t *testing.T) {
	s := reopen(t, filepath.Join(memoryDir(t), "store"), Options{})
	bottom := addLayer(t, s, "bottom", LayerRecord{}, dir("d", 0o700))
	top := addLayer(t, s, "top", LayerRecord{}, implied("d"), regular("d/f", "x"))
	var between []digest.Digest
	for i := range maxLower - 2 {
		between = append(between, addLayer(t, s, fmt.Sprint("between ", i), LayerRecord{}, regular("f", "x")))
	}
	for _, c := range []struct {
		layers int
		ok     bool
	}{{maxLower - 1, true}, {maxLower, false}} {
		img := Image{Manifest: digest.FromString(fmt.Sprint(c.layers)), Layers: slices.Concat([]digest.Digest{bottom}, between[:c.layers-2], []digest.Digest{top})}
		got, err := s.PutImage(t.Context(), img)
		if c.ok {
			if err != nil || got.Fix == "" {
				t.Errorf("%d layers: fix layer %q, error %v", c.layers, got.Fix, err)
			}
			continue
		}
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), `needs one more`) || !strings.Contains(err.Error(), `the directory "d"`) {
			t.Errorf("%d layers: %v, want ErrUnsupported that names the directory", c.layers, err)
		}
		if _, err := s.Image(img.Manifest); !errors.Is(err, ErrNotFound) {
			t.Errorf("the image: %v, want ErrNotFound", err)
		}
		if fixes, err := fsat.Names(s.dirs[storedirs.Fix]); err != nil || len(fixes) != 1 {
			t.Errorf("fix layers %q, error %v; want the one of %d layers", fixes, err, maxLower-1)
		}
	}
}

// A directory that no layer has an entry for hides a lower layer's link: that is
// told, where a whiteout only is not.
func TestReplacedLinksAreTold(t *testing.T) {
	var log bytes.Buffer
	s := reopen(t, t.TempDir(), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	lower := addLayer(t, s, "links", LayerRecord{}, symlink("lib", "usr/lib"), symlink("bin", "usr/bin"))
	upper := addLayer(t, s, "below links", LayerRecord{}, implied("lib"), regular("lib/y", "y"), bare("bin"), whiteout("bin/x"))
	putImage(t, s, "told", lower, upper)
	if got := log.String(); !strings.Contains(got, "count=1 example=lib") {
		t.Errorf("log = %q, want it to tell of lib alone", got)
	}
}
