// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/overlaystore"
)

// Those that change what an engine has.
const (
	giveIt    = "give"
	giveAhead = "give ahead"
	handOver  = "hand over"
	takeIt    = "take"
)

func TestMain(m *testing.M) { os.Exit(disktest.Apart(m.Run)) }

// TestPowerCut cuts the power before each call of a give, a hand-over and a take:
// what the engine was told to commit is on the disk then, and the next run ends
// well.
func TestPowerCut(t *testing.T) {
	onDisks(t, func(t *testing.T, disk *disktest.FS) {
		cuts := 0
		for _, c := range []struct {
			what   string
			rebase bool
		}{{giveIt, true}, {giveIt, false}, {giveAhead, true}, {handOver, true}, {takeIt, true}} {
			for n := 1; ; n += every(19) {
				reached, missing := cutAt(t, disk, c.what, c.rebase, n, nil)
				for _, m := range missing {
					t.Errorf("%s, cut before call %d: %s", c.what, n, m)
				}
				if !reached {
					break
				}
				cuts++
			}
		}
		t.Logf("%d power cuts", cuts)
	})
}

// TestPowerCutDoesHarmWithoutSync is the control: or the other proves nothing.
func TestPowerCutDoesHarmWithoutSync(t *testing.T) {
	disk := disktest.New(t, 320<<20, "mkfs.ext4", "-q", "-F")
	leaveOut := func(ctx context.Context) context.Context { return leavingOut(ctx, "syncfs") }
	for range disktest.Tries {
		for n, reached := 1, true; reached; n++ {
			var missing []string
			if reached, missing = cutAt(t, disk, giveIt, false, n, leaveOut); len(missing) > 0 {
				return
			}
		}
	}
	t.Fatal("no cut does harm")
}

// onDisks is for each filesystem that a store may be on, the second in full only.
func onDisks(t *testing.T, try func(t *testing.T, disk *disktest.FS)) {
	t.Helper()
	for _, kind := range [][]string{{"mkfs.ext4", "-q", "-F"}, {"mkfs.xfs", "-q", "-f"}} {
		t.Run(kind[0], func(t *testing.T) {
			if kind[0] != "mkfs.ext4" && os.Getenv("LAYERCTL_FULL") != "1" {
				t.Skip("LAYERCTL_FULL=1 runs it")
			}
			try(t, disktest.New(t, 320<<20, kind[0], kind[1:]...))
		})
	}
}

// cutBefore cuts the power before the call n; from then on none comes.
func cutBefore(t *testing.T, disk *disktest.FS, n int) func(i int) (before, after error) {
	return func(i int) (before, after error) {
		if i == n {
			if err := disk.Cut(); err != nil {
				t.Error(err)
			}
		}
		if i >= n {
			return status.Error(codes.Unavailable, "the power is off"), nil
		}
		return nil, nil
	}
}

// cutAt cuts the power before call n, and says whether there was one, and what
// of the committed snapshots is not on the disk afterwards.
func cutAt(t *testing.T, disk *disktest.FS, what string, rebase bool, n int, with func(context.Context) context.Context) (reached bool, missing []string) {
	t.Helper()
	store, engine := filepath.Join(disk.Dir, "store"), filepath.Join(disk.Dir, "engine")
	for _, dir := range []string{store, engine} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(engine, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := overlaystore.Open(t.Context(), store, overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	img := threeLayers(t, s)
	f := newFake(t, layertest.MemoryDir(t), rebase)
	f.disk = engine
	f.keepBlobs(filepath.Join(engine, "content"))
	e := connectTo(t, f)
	do := func(ctx context.Context) error {
		if what == takeIt {
			_, err := e.Take(ctx, s, img.Image.Manifest, nil)
			return err
		}
		var ahead *Ahead
		if what == giveAhead {
			ahead = e.Ahead(ctx, s, img.Layers)
		}
		_, err := e.Give(ctx, s, img, GiveOptions{HandOver: what == handOver, Ahead: ahead})
		return errors.Join(err, ahead.End(ctx))
	}
	if what == takeIt {
		if _, err := e.Give(t.Context(), s, img, GiveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := disktest.Sync(disk.Dir); err != nil {
		t.Fatal(err)
	}
	f.ask(cutBefore(t, disk, n))
	ctx := t.Context()
	if with != nil {
		ctx = with(ctx)
	}
	err = do(ctx)
	reached = f.reached(n)
	if reached == (err == nil) {
		t.Errorf("%s, cut before call %d: %v", what, n, err)
	}
	s.Close()
	if !reached {
		return false, nil
	}
	disk.Reboot()
	f.ask(nil)
	if s, err = overlaystore.Open(t.Context(), store, overlaystore.Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	missing = f.missing(t, s, img)
	f.check(t, "after the cut")
	if err := do(t.Context()); err != nil {
		t.Errorf("%s, cut before call %d: the next run: %v", what, n, err)
	}
	if missing == nil {
		missing = f.missing(t, s, img)
	}
	f.check(t, "the next run")
	if got := len(f.images) > 0; got == (what == takeIt) {
		t.Errorf("%s, cut before call %d: the engine lists %v after the next run", what, n, f.images)
	}
	return true, missing
}

// missing are the files of committed snapshots that are not those of their
// layers.
func (f *fake) missing(t *testing.T, s *overlaystore.Store, img Image) (list []string) {
	t.Helper()
	for i, chain := range chainIDs(img.Layers) {
		got := f.snapshots[chain.String()]
		if got == nil {
			continue
		}
		from := filepath.Join(s.Path(), "layers", img.Layers[i].Encoded(), "fs")
		err := filepath.WalkDir(from, func(at string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			p, _ := filepath.Rel(from, at)
			want, err := os.Lstat(at)
			if err != nil {
				return err
			}
			have, err := os.Lstat(filepath.Join(got.dir, p))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				list = append(list, fmt.Sprintf("layer %d: %s is missing", i, p))
			case err != nil:
				return err
			case !d.IsDir() && !os.SameFile(want, have):
				list = append(list, fmt.Sprintf("layer %d: %s is another file", i, p))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}
