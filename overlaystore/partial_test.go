// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/journal"
)

// keep leaves a layer to the next pull, and returns where it is.
func keep(ctx context.Context, t *testing.T, s *Store, name string) string {
	t.Helper()
	g, err := s.Stage(ctx, layerID(name))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fillAndSeal(ctx, g, name), g.Keep(ctx), s.Settle(ctx, g), g.Leave(ctx), g.Leave(ctx)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(s.Path(), "partial", g.name)
}

// What is not exactly what was kept is not taken up, and goes.
func TestTakeUp(t *testing.T) {
	app := func(dir string) string { return filepath.Join(dir, "fs/d/app") }
	for _, c := range []struct {
		name  string
		harm  func(dir string) error
		taken bool
	}{
		{"whole", func(string) error { return nil }, true},
		{"content", func(dir string) error { return overwrite(app(dir), 7) }, false},
		{"a shorter file", func(dir string) error { return os.Truncate(app(dir), 3) }, false},
		{"an empty file", func(dir string) error { return os.Truncate(app(dir), 0) }, false},
		{"a mode", func(dir string) error { return os.Chmod(app(dir), 0o4755) }, false},
		{"a link in its place", func(dir string) error {
			return errors.Join(os.Remove(app(dir)), os.Symlink("/etc/passwd", app(dir)))
		}, false},
		{"a link in the directory's place", func(dir string) error {
			return errors.Join(os.RemoveAll(dir+"/fs/d"), os.Symlink("/etc", dir+"/fs/d"))
		}, false},
		{"no file", func(dir string) error { return os.Remove(app(dir)) }, false},
		{"one file more", func(dir string) error { return os.WriteFile(dir+"/fs/more", nil, 0o644) }, false},
		{"no lower dir", func(dir string) error { return os.RemoveAll(dir + "/fs") }, false},
		{"a link for a lower dir", func(dir string) error {
			return errors.Join(os.Rename(dir+"/fs", dir+"/moved"), os.Symlink("moved", dir+"/fs"))
		}, false},
		{"record", func(dir string) error { return overwrite(dir+"/layer.json", 20) }, false},
		{"no record", func(dir string) error { return os.Remove(dir + "/layer.json") }, false},
		{"a huge record", func(dir string) error { return os.Truncate(dir+"/layer.json", maxRecord+1) }, false},
		{"journal", func(dir string) error { return overwrite(filepath.Join(dir, journal.Name), 30) }, false},
		{"a shorter journal", func(dir string) error { return os.Truncate(filepath.Join(dir, journal.Name), 20) }, false},
		{"no journal", func(dir string) error { return os.Remove(filepath.Join(dir, journal.Name)) }, false},
		{"a file", func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) }, false},
		{"a name of another record", func(dir string) error { return os.Rename(dir, dir[:len(dir)-1]+"x") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openStore(t)
			if err := c.harm(keep(t.Context(), t, s, "app2")); err != nil {
				t.Fatal(err)
			}
			g, err := s.TryStage(t.Context(), layerID("app2"))
			if err != nil {
				t.Fatal(err)
			}
			taken, err := g.TakeUp(t.Context())
			if err != nil || taken != c.taken {
				t.Fatalf("taken up %t, %v", taken, err)
			}
			if !taken {
				if err := fillAndSeal(t.Context(), g, "app2"); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Commit(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			verifySound(t, s, c.name)
			if left, err := os.ReadDir(filepath.Join(s.Path(), "partial")); err != nil || len(left) != 0 {
				t.Errorf("partial/ holds %v, %v", left, err)
			}
			checkEmpty(t, s, "staging", "trash")
		})
	}
}

// overwrite changes one byte of a file, and nothing else.
func overwrite(name string, at int64) error {
	before, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	b[0] ^= 1
	_, err2 := f.WriteAt(b, at)
	return errors.Join(err, err2, f.Close(), os.Chtimes(name, before.ModTime(), before.ModTime()))
}

// A kept layer waits a day for the next pull; who removes what was pulled may
// say otherwise.
func TestPrunePartial(t *testing.T) {
	s := openStore(t)
	old := keep(t.Context(), t, s, "app2")
	for _, name := range []string{"base", "app"} {
		keep(t.Context(), t, s, name)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Partial <= 15000 || u.Reclaimable != 0 || u.Layers != 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	held, err := s.Stage(t.Context(), layerID("app"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    PruneOptions
		gone bool
		left int
	}{
		{"spared by age", PruneOptions{OlderThan: 48 * time.Hour}, false, 3},
		{"in a dry run", PruneOptions{DryRun: true}, true, 3},
		{"after a day", PruneOptions{}, true, 2},
		{"within a day", PruneOptions{}, false, 2},
		{"all but what a process holds", PruneOptions{Partial: true}, true, 1},
	} {
		p, err := s.Prune(t.Context(), c.o)
		if err != nil || (p.Partial > 0) != c.gone {
			t.Errorf("%s: pruned %+v, %v", c.name, p, err)
		}
		if left, err := os.ReadDir(filepath.Join(s.Path(), "partial")); err != nil || len(left) != c.left {
			t.Errorf("%s: left are %v, %v", c.name, left, err)
		}
	}
	// Somebody else brings the layer.
	beside, err := s.StageBeside(t.Context(), layerID("app"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(held.Discard(), fillAndSeal(t.Context(), beside, "app"), s.Commit(t.Context(), beside)); err != nil {
		t.Fatal(err)
	}
	lease, err := s.Lease(t.Context(), "test", layerID("app"))
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	if p, err := s.Prune(t.Context(), PruneOptions{}); err != nil || p.Partial == 0 {
		t.Errorf("pruned %+v, %v", p, err)
	}
	checkEmpty(t, s, "staging", "trash")
}

// What a failed sync has left nobody can tell, so it is not kept; and one who
// fills a layer beside another keeps nothing.
func TestWhatIsNotKept(t *testing.T) {
	s := openStore(t)
	g, err := s.Stage(t.Context(), layerID("app"))
	if err != nil {
		t.Fatal(err)
	}
	beside, err := s.StageBeside(t.Context(), layerID("app"))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []*Staging{g, beside} {
		if err := errors.Join(fillAndSeal(t.Context(), g, "app"), g.Keep(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if err := beside.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := durable.WithFault(t.Context(), func(string) error { return unix.EIO })
	if err := s.Settle(ctx, g); !errors.Is(err, unix.EIO) {
		t.Errorf("settled with %v", err)
	}
	if err := g.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	if waits, err := s.Waits(layerID("app")); err != nil || waits {
		t.Errorf("a layer waits: %t, %v", waits, err)
	}
	checkEmpty(t, s, "staging")
}

// A commit that somebody ends leaves the layers to the next pull.
func TestEndedCommitKeeps(t *testing.T) {
	s := openStore(t)
	g, err := s.Stage(t.Context(), layerID("app"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fillAndSeal(t.Context(), g, "app"), g.Keep(t.Context())); err != nil {
		t.Fatal(err)
	}
	busy, err := s.exclude(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, g); !errors.Is(err, context.Canceled) {
		t.Errorf("committed with %v", err)
	}
	if err := busy(); err != nil {
		t.Fatal(err)
	}
	if waits, err := s.Waits(layerID("app")); err != nil || !waits {
		t.Errorf("the layer waits: %t, %v", waits, err)
	}
}
