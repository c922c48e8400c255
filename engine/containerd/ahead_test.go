// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/overlaystore"
)

// staged is a layer whose files are there, and that is not in the store yet.
func staged(t *testing.T, s *overlaystore.Store, name string, files ...file) *overlaystore.Staging {
	t.Helper()
	g, err := s.Stage(t.Context(), layertest.DiffID(name))
	if err == nil {
		err = layertest.Fill(g, s.Format().Form, files...)
	}
	if err == nil {
		err = g.Seal(t.Context(), overlaystore.LayerRecord{})
	}
	if err == nil {
		err = g.Keep(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// left are the files that say which givings live.
func left(t *testing.T, s *overlaystore.Store) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.Path(), "engines", "*.living"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestAhead(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, true)
	first := addLayer(t, s, "first", dir(".", 0o750), regular("a", "one"))
	second := staged(t, s, "second", dir("d", 0o700), regular("d/b", "two"))
	third := layertest.DiffID("third")
	ctx := f.watched(t.Context())
	a := e.Ahead(ctx, s, []digest.Digest{first, second.DiffID(), third})
	a.Ready(second.DiffID(), second.Dir())
	if len(left(t, s)) != 1 {
		t.Errorf("what says that it lives is %q", left(t, s))
	}
	// Another image meanwhile, whose giving clears up what died.
	other := anImage(t, s, "other:1", addLayer(t, s, "elsewhere", dir(".", 0o750), regular("e", "five")))
	if _, err := e.Give(ctx, s, other, GiveOptions{}); err != nil {
		t.Fatal(err)
	}
	last := staged(t, s, "third", regular("c", "three"))
	a.Ready(third, last.Dir())
	if err := s.Commit(ctx, second, last); err != nil {
		t.Fatal(err)
	}
	img := anImage(t, s, "ahead:1", first, second.DiffID(), third)
	given, err := e.Give(ctx, s, img, GiveOptions{Ahead: a})
	if err := errors.Join(err, a.End(ctx)); err != nil {
		t.Fatal(err)
	}
	if given.Links < 2 || given.Layers != 3 || f.early != 0 {
		t.Errorf("given is %+v, with %d commits before a sync", given, f.early)
	}
	if n := strings.Count(strings.Join(f.methods, " "), "Prepare"); n != 4 {
		t.Errorf("%d snapshots were prepared for 4 layers", n)
	}
	f.check(t, "given ahead")
	if missing := f.missing(t, s, img); missing != nil || len(f.snapshots) != 4 || len(f.leases) != 0 {
		t.Errorf("missing are %q, snapshots %d, leases %d", missing, len(f.snapshots), len(f.leases))
	}
	if names := left(t, s); len(names) > 0 {
		t.Errorf("left is %q", names)
	}
}

// TestAheadIsFilled: what was ready before is linked afterwards, so that one sync is
// for the store and the engine.
func TestAheadIsFilled(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f := newFake(t, layertest.MemoryDir(t), true)
	e, s := connectTo(t, f), openStore(t, filepath.Join(t.TempDir(), "store"))
	first := addLayer(t, s, "first", dir(".", 0o750), regular("a", "one"))
	second := staged(t, s, "second", dir("d", 0o700), regular("d/b", "two"))
	third := staged(t, s, "third", regular("c", "three"))
	chains := chainIDs([]digest.Digest{first, second.DiffID(), third.DiffID()})
	a := e.Ahead(t.Context(), s, []digest.Digest{first, second.DiffID(), third.DiffID()})
	a.wait = time.Hour
	filled := func(names ...string) {
		t.Helper()
		a.Filled(t.Context())
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, name := range names {
			there := false
			for _, s := range f.snapshots {
				_, err := os.Lstat(filepath.Join(s.dir, name))
				there = there || s.labels["containerd.io/snapshot.ref"] == chains[i].String() && err == nil
			}
			if !there {
				t.Errorf("%s is not there", name)
			}
		}
	}
	filled("a")
	a.Ready(second.DiffID(), second.Dir())
	filled("a", "d/b")
	a.Ready(third.DiffID(), third.Dir())
	filled("a", "d/b", "c")
	if err := errors.Join(a.End(t.Context()), second.Discard(), third.Discard()); err != nil {
		t.Fatal(err)
	}
	a.Filled(t.Context()) // of one that has ended
}

// TestAheadIsGivenUp ends one whose pull has failed, and one whose process died.
func TestAheadIsGivenUp(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, true)
	img := threeLayers(t, s)
	a := e.Ahead(t.Context(), s, append(img.Layers, layertest.DiffID("never")))
	a.finish()
	if len(f.snapshots) != 3 || len(f.leases) != 1 {
		t.Errorf("before: %d snapshots, %d leases", len(f.snapshots), len(f.leases))
	}
	if err := a.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(f.snapshots) != 0 || len(f.leases) != 0 || len(left(t, s)) != 0 {
		t.Errorf("afterwards: %d snapshots, %d leases, %q", len(f.snapshots), len(f.leases), left(t, s))
	}
	give := func() error { _, err := e.Give(t.Context(), s, img, GiveOptions{}); return err }
	for _, c := range []struct {
		name string
		next func() error
	}{
		{"giving", give},
		{"clearing", func() error { return e.Clear(t.Context(), s) }},
	} {
		// A process that died holds no lock.
		f.leases["layerctl-dead"] = &fakeLease{labels: map[string]string{ownerLabel: a.g.owner}}
		if err := os.WriteFile(filepath.Join(s.Path(), "engines", "layerctl-dead.living"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.next(); err != nil {
			t.Fatal(err)
		}
		if len(f.leases) != 0 || len(left(t, s)) != 0 {
			t.Errorf("of a dead one are left after %s: leases %v, files %q", c.name, f.leases, left(t, s))
		}
	}
}

// TestAheadThatFails fails at each call of what is given ahead: Give does the
// rest.
func TestAheadThatFails(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	for n := 1; ; n++ {
		f, e, s := anEngine(t, true)
		img := threeLayers(t, s)
		f.ask(func(i int) (before, after error) {
			if i == n {
				return status.Error(codes.Unknown, "a fault"), nil
			}
			return nil, nil
		})
		a := e.Ahead(t.Context(), s, img.Layers)
		a.Filled(t.Context())
		a.finish()
		reached := f.reached(n)
		f.ask(nil)
		_, err := e.Give(t.Context(), s, img, GiveOptions{Ahead: a})
		if err := errors.Join(err, a.End(t.Context())); err != nil {
			t.Errorf("after a fault at call %d: %v", n, err)
		}
		f.check(t, "after a fault")
		if len(f.leases) != 0 || len(f.snapshots) != 3 {
			t.Errorf("after a fault at call %d: %d leases, %d snapshots", n, len(f.leases), len(f.snapshots))
		}
		if !reached {
			return
		}
	}
}

// TestAheadWhoseSyncFails: after a failed sync of the pull no layer is committed.
func TestAheadWhoseSyncFails(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, true)
	img := threeLayers(t, s)
	fault := errors.New("a fault")
	failed := false
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if op != "syncfs" || failed {
			return nil
		}
		failed = true // the kernel tells once
		return fault
	})
	a := e.Ahead(ctx, s, append(img.Layers, layertest.DiffID("never")))
	_ = a.Sync(ctx) // or one of theirs was the first
	if err := a.Sync(ctx); !errors.Is(err, fault) {
		t.Errorf("after one that has failed: %v", err)
	}
	a.finish()
	for name, s := range f.snapshots {
		if s.committed {
			t.Errorf("%s is committed", name)
		}
	}
	if _, err := e.Give(t.Context(), s, img, GiveOptions{Ahead: a}); err != nil {
		t.Error(err)
	}
	if err := a.End(t.Context()); err != nil {
		t.Error(err)
	}
	f.check(t, "afterwards")
}
