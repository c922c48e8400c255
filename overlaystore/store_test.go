// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/platform"
)

// openStore opens a fresh store in a temporary directory.
func openStore(t testing.TB) *Store {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "store"), Options{})
}

func reopen(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, o)
	if errors.Is(err, ErrUnsupported) {
		t.Skipf("needs a temporary directory on a filesystem that can hold a store: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// addLayer stages and commits a layer.
func addLayer(t testing.TB, s *Store, name string, rec LayerRecord, files ...file) digest.Digest {
	t.Helper()
	diffID := layerID(name)
	if err := putLayer(t.Context(), s, diffID, rec, files...); err != nil {
		t.Fatal(err)
	}
	return diffID
}

func putLayer(ctx context.Context, s *Store, diffID digest.Digest, rec LayerRecord, files ...file) error {
	g, err := s.Stage(ctx, diffID)
	if err != nil {
		return err
	}
	defer g.Discard()
	if err := fill(g, files...); err != nil {
		return err
	}
	if err := g.Seal(ctx, recordOf(rec, files)); err != nil {
		return err
	}
	return s.Commit(ctx, g)
}

// putImage puts an image of the layers, the lowest first, and tags it.
func putImage(t testing.TB, s *Store, ref string, layers ...digest.Digest) Image {
	t.Helper()
	img := Image{Manifest: digest.FromString("manifest " + ref), Config: digest.FromString("config " + ref), Layers: layers}
	img, err := s.PutImage(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tag(t.Context(), ref, img.Manifest, TagOptions{}); err != nil {
		t.Fatal(err)
	}
	return img
}

func TestOpenMakesAStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	s := reopen(t, dir, Options{})
	fi, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fi.Mode().Perm(), fs.FileMode(0o700); got != want {
		t.Errorf("mode %v, want %v", got, want)
	}
	if os.Geteuid() == 0 && probe.AllIDs() {
		if got, want := s.Format(), (Format{1, layer.Form{Whiteouts: layer.CharDevices, Xattrs: layer.TrustedXattrs, IDs: layer.HostIDs}}); got != want {
			t.Errorf("as root: %+v, want %+v", got, want)
		}
	}
	again := reopen(t, dir, Options{})
	if got, want := again.Format(), s.Format(); got != want {
		t.Errorf("opened again: %+v, want %+v", got, want)
	}
	names, err := fsat.Names(s.root)
	if err != nil {
		t.Fatal(err)
	}
	want := append([]string{storedirs.LockFile, storedirs.FormatFile}, slices.Collect(maps.Keys(s.dirs))...)
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the store holds %q, want %q", names, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		want    error
		says    string
	}{
		{"a newer format", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "store.json"), `{"format":3}`)
		}, ErrFormat, "use a newer one"},
		{"format 0", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "store.json"), `{}`)
		}, ErrFormat, "unknown store format"},
		{"an unknown whiteout form", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "store.json"), `{"format":1,"whiteouts":"none","xattrs":"user","ids":"host"}`)
		}, ErrFormat, "none"},
		{"a torn store.json", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "store.json"), ``)
		}, ErrDamaged, "store.json"},
		{"a directory in other use", func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "notes.txt"), "mine")
		}, ErrFormat, "notes.txt"},
		{"a store that others may write to", func(t *testing.T, dir string) {
			if err := os.Chmod(dir, 0o770); err != nil {
				t.Fatal(err)
			}
		}, fs.ErrPermission, "0770"},
		{"another user's store", func(t *testing.T, dir string) {
			needsRoot(t, "it gives a directory to another user")
			if err := os.Chown(dir, 1234, 0); err != nil {
				t.Fatal(err)
			}
		}, fs.ErrPermission, "uid 1234"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.prepare(t, dir)
			s, err := Open(t.Context(), dir, Options{})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("error %v, want %v that says %q", err, c.want, c.says)
			}
		})
	}
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLayerComesAndGoes(t *testing.T) {
	s := openStore(t)
	diffID := layerID("base")
	if has, err := s.HasLayer(diffID); err != nil || has {
		t.Fatalf("an empty store: has %v, error %v", has, err)
	}
	rec := LayerRecord{Size: 42, Notes: map[string]int64{"device skipped": 3}, Facts: layer.Facts{Implied: []layer.ImpliedDir{{Path: "odd \xff%name", Opaque: layer.Marked}}}}
	addLayer(t, s, "base", rec, regular("hello", "world"))
	got, err := s.Layer(diffID)
	if err != nil {
		t.Fatal(err)
	}
	if got.DiffID != diffID || got.Size != 42 || got.Notes["device skipped"] != 3 || got.Implied[0] != rec.Implied[0] {
		t.Errorf("record %+v", got)
	}
	body, err := os.ReadFile(filepath.Join(s.Path(), "layers", diffID.Encoded(), "fs", "hello"))
	if err != nil || string(body) != "world" {
		t.Errorf("content %q, error %v", body, err)
	}
	if _, err := s.Stage(t.Context(), diffID); !errors.Is(err, ErrExists) {
		t.Errorf("staging it again: %v, want ErrExists", err)
	}
	img := putImage(t, s, "example.com/a:1", diffID)
	found, err := s.Lookup("example.com/a:1", platform.Wanted{})
	if err != nil {
		t.Fatal(err)
	}
	if found.Manifest != img.Manifest || !slices.Equal(found.Refs, []string{"example.com/a:1"}) {
		t.Errorf("looked up %+v", found)
	}
	putImage(t, s, "docker.io/library/alpine:3.20", diffID)
	for _, short := range []string{"alpine:3.20", "docker.io/alpine:3.20", "index.docker.io/library/alpine:3.20"} {
		if _, err := s.Lookup(short, platform.Wanted{}); err != nil {
			t.Errorf("%q: %v", short, err)
		}
	}
	for _, other := range []string{"alpine", "alpine:3.2", "example.com/alpine:3.20", "Not A Reference", ""} {
		if _, err := s.Lookup(other, platform.Wanted{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", other, err)
		}
	}
	if err := s.Remove(t.Context(), "example.com/a:1", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup("example.com/a:1", platform.Wanted{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("after the removal: %v, want ErrNotFound", err)
	}
	if err := s.Remove(t.Context(), "example.com/a:1", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("a second removal: %v, want ErrNotFound", err)
	}
}

func TestDiscardLeavesNothing(t *testing.T) {
	s := openStore(t)
	g, err := s.Stage(t.Context(), layerID("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(g, dir("d", 0o500), regular("d/f", "x")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := g.Discard(); err != nil {
			t.Fatal(err)
		}
	}
	checkEmpty(t, s, storedirs.Staging, storedirs.Trash, storedirs.Layers)
	g, err = s.Stage(t.Context(), layerID("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Discard(); err != nil {
		t.Fatal(err)
	}
}

func checkEmpty(t testing.TB, s *Store, names ...string) {
	t.Helper()
	for _, name := range names {
		list, err := fsat.Names(s.dirs[name])
		if err != nil || len(list) > 0 {
			t.Errorf("%s/ holds %q, error %v; want nothing", name, list, err)
		}
	}
}

// An image that is pulled again keeps when it came first.
func TestPutImageKeepsWhenItCameFirst(t *testing.T) {
	s := openStore(t)
	d := digest.FromString("empty")
	first, err := s.PutImage(t.Context(), Image{Manifest: d, Config: d, Created: testTime})
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.PutImage(t.Context(), Image{Manifest: d, Config: d})
	if err != nil {
		t.Fatal(err)
	}
	if !again.Created.Equal(testTime) || again.Pulled.Before(first.Pulled) || !again.Pulled.After(testTime) {
		t.Errorf("came first %v, last %v, want %v and now", again.Created, again.Pulled, testTime)
	}
}

func TestPutImageWantsItsLayers(t *testing.T) {
	s := openStore(t)
	img := Image{Manifest: digest.FromString("m"), Layers: []digest.Digest{layerID("absent")}}
	if _, err := s.PutImage(t.Context(), img); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if err := s.Tag(t.Context(), "x", img.Manifest, TagOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("tag: error %v, want ErrNotFound", err)
	}
}

func TestUnsyncedLayersEndWithTheBoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := reopen(t, path, Options{NoSync: true})
	diffID := addLayer(t, s, "a", LayerRecord{}, regular("f", "x"))
	img := putImage(t, s, "a", diffID)
	synced := reopen(t, path, Options{})
	for _, c := range []struct {
		name string
		s    *Store
		want bool
	}{{"without sync", s, true}, {"with sync", synced, false}} {
		if got, err := c.s.HasLayer(diffID); err != nil || got != c.want {
			t.Errorf("%s, in the same boot: has %v, error %v, want %v", c.name, got, err, c.want)
		}
		if _, err := c.s.LowerDirs(t.Context(), img); err != nil {
			t.Errorf("%s, in the same boot: %v", c.name, err)
		}
	}
	// The next boot has another id.
	unsynced := filepath.Join(path, storedirs.Unsynced)
	if err := os.Rename(filepath.Join(unsynced, s.boot), filepath.Join(unsynced, "0-another-boot")); err != nil {
		t.Fatal(err)
	}
	next := reopen(t, path, Options{NoSync: true})
	if has, err := next.HasLayer(diffID); err != nil || has {
		t.Errorf("after a boot: has %v, error %v", has, err)
	}
	if _, err := next.LowerDirs(t.Context(), img); !errors.Is(err, ErrNotFound) {
		t.Errorf("after a boot: %v, want ErrNotFound", err)
	}
	checkEmpty(t, next, storedirs.Unsynced, storedirs.Trash)
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestMountedAtElsewhere: of a mount that is not the store's nothing is told.
func TestMountedAtElsewhere(t *testing.T) {
	s := openStore(t)
	for _, target := range []string{"/proc", s.Path()} {
		if m, ours, err := s.MountedAt(t.Context(), target); err != nil || ours || !reflect.DeepEqual(m, Mounted{}) {
			t.Errorf("at %s: %+v, %v, %v", target, m, ours, err)
		}
	}
}
