// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/shortlink"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/platform"
)

// A store that nothing can be written to is read, verified and put together.
func TestReadOnlyStore(t *testing.T) {
	needsRoot(t, "it mounts")
	for _, c := range []struct {
		name   string
		freeze func(t *testing.T, dir string) error
	}{
		{"seen through a read-only mount", func(t *testing.T, dir string) error {
			t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
			return errors.Join(
				unix.Mount(dir, dir, "", unix.MS_BIND, ""),
				unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}},
		{"on a read-only filesystem", func(t *testing.T, dir string) error {
			return unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		}},
		{"without a lock file that was never made", func(t *testing.T, dir string) error {
			return errors.Join(
				os.Remove(filepath.Join(dir, storedirs.Locks, shortlink.Lock)),
				unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}},
		{"with what an interrupted process left", func(t *testing.T, dir string) error {
			return errors.Join(
				os.Mkdir(filepath.Join(dir, storedirs.Staging, "left"), 0o700),
				unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := mountFor(t, "tmpfs", "mode=0700")
			s := reopen(t, dir, Options{})
			id := addLayer(t, s, "a", LayerRecord{}, regular("f", "x"))
			putImage(t, s, "a", id)
			s.Close()
			if err := c.freeze(t, dir); err != nil {
				t.Fatal(err)
			}
			readOnlyStore(t, dir)
		})
	}
}

func readOnlyStore(t *testing.T, dir string) {
	t.Helper()
	s, err := Open(t.Context(), dir, Options{Existing: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	img, err := s.Lookup("a", platform.Wanted{})
	if err != nil {
		t.Fatal(err)
	}
	lease, err := s.Lease(t.Context(), "test", img.Layers...)
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := s.LowerDirs(t.Context(), img)
	if err != nil || len(dirs) != 2 {
		t.Errorf("lower dirs %v, error %v", dirs, err)
	}
	if got := verifyAll(t, s, VerifyOptions{}); len(got) > 0 {
		t.Errorf("found %q", got)
	}
	if u, err := s.Usage(t.Context()); err != nil || len(u.Images) != 1 {
		t.Errorf("usage %+v, error %v", u, err)
	}
	if err := lease.Release(); err != nil {
		t.Error(err)
	}
	if _, err := s.Stage(t.Context(), layerID("b")); !errors.Is(err, unix.EROFS) {
		t.Errorf("staging: %v, want EROFS", err)
	}
}

// Looking makes no store.
func TestExistingMakesNone(t *testing.T) {
	empty := t.TempDir()
	half := t.TempDir()
	if err := os.Mkdir(filepath.Join(half, storedirs.Layers), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{
		"missing": filepath.Join(t.TempDir(), "not", "there"), "empty": empty, "half made": half,
	} {
		before, _ := os.ReadDir(dir)
		if _, err := Open(t.Context(), dir, Options{Existing: true}); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
		after, err := os.ReadDir(dir)
		if len(after) != len(before) || name == "missing" && !os.IsNotExist(err) {
			t.Errorf("%s: it holds %v afterwards, error %v", name, after, err)
		}
	}
}

// What a clock that was ahead has made is pruned in the end, in the order of use.
func TestPruneAfterAClockThatWasAhead(t *testing.T) {
	s := openStore(t)
	var ids []digest.Digest
	for i, name := range []string{"a", "b", "c"} {
		id := addLayer(t, s, name, LayerRecord{}, regular("f", strings.Repeat("x", 100)))
		img := putImage(t, s, name, id)
		ids = append(ids, id)
		ahead := time.Now().Add(time.Duration(i+1) * 1000 * time.Hour)
		for _, path := range []string{"images/" + img.Manifest.Encoded() + ".json", "layers/" + id.Encoded()} {
			if err := os.Chtimes(filepath.Join(s.Path(), path), ahead, ahead); err != nil {
				t.Fatal(err)
			}
		}
	}
	stray := addLayer(t, s, "stray", LayerRecord{}, regular("f", "x"))
	ahead := time.Now().Add(1000 * time.Hour)
	if err := os.Chtimes(filepath.Join(s.Path(), "layers", stray.Encoded()), ahead, ahead); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune(t.Context(), PruneOptions{OlderThan: time.Hour}); err != nil || len(p.Layers) > 0 {
		t.Errorf("pruned %+v, error %v", p, err)
	}
	images, err := s.Images()
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range images {
		if img.Used.After(time.Now()) {
			t.Errorf("%s is still of %v", img.Refs, img.Used)
		}
	}
	if p, err := s.Prune(t.Context(), PruneOptions{}); err != nil || len(p.Layers) != 1 {
		t.Errorf("pruned %+v, error %v, want the stray layer", p, err)
	}
	if p, err := s.Prune(t.Context(), PruneOptions{KeepStorage: 200}); err != nil || len(p.Layers) != 1 || p.Layers[0] != ids[0] {
		t.Errorf("pruned %+v, error %v, want the layer that was used first", p, err)
	}
}
