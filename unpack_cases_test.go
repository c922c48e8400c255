// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

type entries = []imagetest.Entry

func imageOf(t *testing.T, layers ...entries) string {
	t.Helper()
	l := imagetest.NewLayout(filepath.Join(t.TempDir(), "image"))
	var tars [][]byte
	for _, entries := range layers {
		tars = append(tars, imagetest.Tar(entries...))
	}
	l.Tag(l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, tars...), "latest")
	return "oci:" + l.Dir + ":latest"
}

// found lists the paths below dir, files with what is in them.
func found(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		line := p[len(dir)+1:]
		if d.Type().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += ":" + string(b)
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestUnpackAPart(t *testing.T) {
	link, file, dir := imagetest.Hardlink, imagetest.File, imagetest.Dir
	for _, c := range []struct {
		name            string
		layers          []entries
		paths, excludes []string
		strip           int
		want            string
		fetched, unread int
	}{
		{"a name of a file that is not wanted", []entries{{file("a", "A"), link("b", "a"), file("c", "C")}}, []string{"b"}, nil, 0, "b:A", 1, 0},
		{"two names of it", []entries{{file("a", "A"), link("d/b", "a"), link("d/c", "a")}}, []string{"d"}, nil, 0, "d d/b:A d/c:A", 1, 0},
		{"a name of a lower layer's file", []entries{{file("x", "X"), file("a", "A")}, {link("b", "a")}}, []string{"b"}, nil, 0, "b:A", 2, 0},
		{"a lower layer's file through a symlink", []entries{{file("usr/a", "A"), imagetest.Symlink("s", "usr")}, {link("b", "s/a")}}, []string{"b"}, nil, 0, "b:A", 2, 0},
		{"what the topmost layer has", []entries{{file("a", "old")}, {file("x", "")}, {file("a", "new")}}, []string{"a"}, nil, 0, "a:new", 1, 2},
		{"what a middle layer has", []entries{{file("a", "old")}, {file("a", "new")}, {file("x", "")}}, []string{"a"}, nil, 0, "a:new", 2, 1},
		{"a directory of all layers", []entries{{file("d/a", "1")}, {file("d/b", "2")}, {file("d/.wh.a", ""), file("d/c", "3")}}, []string{"d"}, nil, 0, "d d/b:2 d/c:3", 3, 0},
		{"an opaque directory", []entries{{file("d/a", "1")}, {dir("d/", 0o755), file("d/.wh..wh..opq", ""), file("d/b", "2")}}, []string{"d"}, nil, 0, "d d/b:2", 1, 1},
		{"beside a link to what no layer read has", []entries{{file("f", "")}, {link("l", "f"), file("a", "A")}}, []string{"a"}, nil, 0, "a:A", 1, 1},
		{"a glob needs all layers", []entries{{file("d/a", "1")}, {file("d/b", "2")}}, []string{"*/b"}, nil, 0, "d d/b:2", 2, 0},
		{"stripped", []entries{{file("d/e/a", "1"), file("f", "2")}}, nil, nil, 1, "e e/a:1", 1, 0},
		{"stripped into one, the later one counts", []entries{{file("d/a", "1"), file("e/a", "2"), link("f/a", "d/a")}}, nil, []string{"f"}, 1, "a:2", 1, 0},
		{"all but some", []entries{{file("d/a", "1"), file("d/b", "2"), link("c", "d/a")}}, nil, []string{"d/a"}, 0, "c:1 d d/b:2", 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "to")
			unpacked := unpackTo(t, imageOf(t, c.layers...), to, UnpackOptions{Paths: c.paths, Excludes: c.excludes, Strip: c.strip})
			if got := found(t, to); got != c.want {
				t.Errorf("there is %s, want %s", got, c.want)
			}
			if unpacked.Fetched != c.fetched || unpacked.Unread != c.unread {
				t.Errorf("%d layers were fetched and %d not read, want %d and %d", unpacked.Fetched, unpacked.Unread, c.fetched, c.unread)
			}
		})
	}
}

// TestUnpackStaysInside unpacks what tries to lead outside, through links of
// the image and through those that stand in the directory already.
func TestUnpackStaysInside(t *testing.T) {
	for _, c := range []struct {
		name   string
		layers []entries
	}{
		{"a file through a symlink of a lower layer", []entries{{imagetest.Symlink("out", "CANARY")}, {imagetest.File("out/x", "bad")}}},
		{"a symlink that replaces a directory", []entries{{imagetest.File("out/x", "a")}, {imagetest.Symlink("out", "CANARY")}}},
		{"a directory that replaces a symlink", []entries{{imagetest.Symlink("out", "CANARY")}, {imagetest.Dir("out/", 0o777), imagetest.File("out/x", "bad")}}},
		{"a link to a file behind a symlink", []entries{{imagetest.Symlink("s", "CANARY"), imagetest.File("keep", "k")}, {imagetest.Hardlink("out", "s/../../../keep")}}},
	} {
		for _, force := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				canary := t.TempDir()
				if err := os.WriteFile(filepath.Join(canary, "keep"), []byte("kept"), 0o600); err != nil {
					t.Fatal(err)
				}
				layers := slices.Clone(c.layers)
				for i := range layers {
					layers[i] = slices.Clone(layers[i])
					for j := range layers[i] {
						layers[i][j].Linkname = strings.ReplaceAll(layers[i][j].Linkname, "CANARY", canary)
					}
				}
				to := filepath.Join(t.TempDir(), "to")
				if force {
					if err := errors.Join(os.Mkdir(to, 0o755), os.Symlink(canary, filepath.Join(to, "out")), os.Symlink("/etc", filepath.Join(to, "s"))); err != nil {
						t.Fatal(err)
					}
				}
				_, err := New(Options{Platform: "linux/amd64"}).Unpack(t.Context(), imageOf(t, layers...), to, UnpackOptions{Force: force})
				if err != nil && !errors.Is(err, stackview.ErrMalformed) {
					t.Error(err)
				}
				if got := found(t, canary); got != "keep:kept" {
					t.Errorf("outside there is %s", got)
				}
			})
		}
	}
}

// tempDir is a temporary directory in which directories may keep their owner
// out.
func tempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				return os.Chmod(p, 0o700)
			}
			return nil
		})
	})
	return dir
}

// TestUnpackFailsWhole lets every operation fail in turn: a directory that was
// not there is not there afterwards, and nothing beside it.
func TestUnpackFailsWhole(t *testing.T) {
	ref := imageOf(t, entries{imagetest.File("d/a", "A"), imagetest.Dir("ro/", 0o555), imagetest.File("ro/b", "B")}, entries{imagetest.Hardlink("l", "d/a"), imagetest.File("d/.wh.c", "")})
	broken := errors.New("broken")
	for n := 0; ; n++ {
		top := tempDir(t)
		count := 0
		ctx := durable.WithFault(t.Context(), func(op string) error {
			if count++; count-1 == n {
				return broken
			}
			return nil
		})
		_, err := New(Options{Platform: "linux/amd64", Jobs: 1}).Unpack(ctx, ref, filepath.Join(top, "to"), UnpackOptions{})
		if err == nil {
			t.Logf("%d operations", n)
			if got, want := found(t, top), "to to/d to/d/a:A to/l:A to/ro to/ro/b:B"; got != want {
				t.Errorf("there is %s, want %s", got, want)
			}
			return
		}
		if !errors.Is(err, broken) {
			t.Fatalf("operation %d: %v", n, err)
		}
		if got := found(t, top); got != "" {
			t.Fatalf("after operation %d failed there is %s", n, got)
		}
	}
}

func TestUnpackTakesLimitsAndContexts(t *testing.T) {
	ref := imageOf(t, entries{imagetest.File("a", "A"), imagetest.File("b", "B")})
	top := t.TempDir()
	_, err := New(Options{Platform: "linux/amd64", Memory: 500}).Unpack(t.Context(), ref, filepath.Join(top, "to"), UnpackOptions{})
	if !errors.Is(err, stackview.ErrLimit) && !errors.Is(err, unpack.ErrLimit) {
		t.Errorf("with 500 bytes of memory: got %v, want a LimitError", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(Options{Platform: "linux/amd64"}).Unpack(ctx, ref, filepath.Join(top, "to"), UnpackOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is done: got %v", err)
	}
	if got := found(t, top); got != "" {
		t.Errorf("there is left %s", got)
	}
}

// A file of the store that is not as long as its record says is not copied.
func TestUnpackFromADamagedStore(t *testing.T) {
	ref := imageOf(t, entries{imagetest.File("a", "content")})
	client := New(Options{Platform: "linux/amd64"})
	store, err := overlaystore.Open(t.Context(), filepath.Join(t.TempDir(), "store"), overlaystore.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := client.Pull(t.Context(), store, ref); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(store.Path(), "unsynced", "*", "*", "fs", "a"))
	if err != nil || len(files) != 1 {
		t.Fatalf("found %q, %v", files, err)
	}
	if err := os.Truncate(files[0], 3); err != nil {
		t.Fatal(err)
	}
	_, err = client.Unpack(t.Context(), ref, filepath.Join(t.TempDir(), "to"), UnpackOptions{Store: store})
	if !errors.Is(err, overlaystore.ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}
