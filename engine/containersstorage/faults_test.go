// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/overlaystore"
)

func TestMain(m *testing.M) { os.Exit(disktest.Apart(m.Run)) }

// command is one thing that is done, with every step of it a place where the
// disk, the process or the power can fail. Before it one image is given, that
// shares a layer with the other.
type command struct {
	name   string
	before bool // the other image is given too
	run    func(ctx context.Context, to *Store, from *overlaystore.Store, other Image) error
	images int // that are there at last
}

var commands = []command{
	{"give", false, func(ctx context.Context, to *Store, from *overlaystore.Store, other Image) error {
		_, err := to.Give(ctx, from, other)
		return err
	}, 2},
	{"take", true, func(ctx context.Context, to *Store, _ *overlaystore.Store, other Image) error {
		_, err := to.Take(ctx, other.Image.Manifest)
		return err
	}, 1},
	{"prune", true, func(ctx context.Context, to *Store, _ *overlaystore.Store, other Image) error {
		_, err := to.Prune(ctx, func(d digest.Digest) bool { return d != other.Image.Manifest })
		return err
	}, 1},
}

// prepared is what a command is run on.
type prepared struct {
	dir          string
	from         *overlaystore.Store
	stays, other Image
}

func prepare(t *testing.T, dir string) prepared {
	t.Helper()
	from := openFrom(t, dir)
	return prepared{dir, from, put(t, from, one, "base", "top"), put(t, from, two, "base", "app")}
}

// afresh makes an engine's store anew, and opens it.
func (p prepared) afresh(t *testing.T, c command) *Store {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(p.dir, "engine")); err != nil {
		t.Fatal(err)
	}
	to := p.open(t)
	give(t, to, p.from, p.stays)
	if c.before {
		give(t, to, p.from, p.other)
	}
	return to
}

func (p prepared) open(t *testing.T) *Store {
	t.Helper()
	to, err := Open(t.Context(), filepath.Join(p.dir, "engine"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// checkSound is the next process: what is listed is whole, the command succeeds
// now, and a prune leaves nothing over.
func (p prepared) checkSound(t *testing.T, c command, when string) {
	t.Helper()
	to := p.open(t)
	defer to.Close()
	check(t, to, when)
	if err := c.run(t.Context(), to, p.from, p.other); err != nil {
		t.Errorf("%s, then again: %v", when, err)
	}
	check(t, to, when)
	list, err := to.Images()
	if err != nil || len(list) != c.images {
		t.Errorf("%s: images %v, error %v; want %d", when, list, err, c.images)
	}
	for _, held := range list {
		img := p.stays
		if held.ID != img.Image.Config.Encoded() {
			img = p.other
		}
		if got, want := asEngine(t, to, held.ID), asStore(t, p.from, img.Image); got != want {
			t.Errorf("%s: the engine shows\n%s\nand the store\n%s", when, got, want)
		}
	}
	if _, err := to.Prune(t.Context(), func(digest.Digest) bool { return false }); err != nil {
		t.Errorf("%s, then a prune of all: %v", when, err)
	}
	checkNothing(t, to)
}

func TestEveryStepFails(t *testing.T) {
	p := prepare(t, layertest.MemoryDir(t))
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			steps := 0
			for n := 0; ; n += every() {
				to := p.afresh(t, c)
				ctx, op := durable.WithFaultAt(t.Context(), n, func() error { return unix.EIO })
				err := c.run(ctx, to, p.from, p.other)
				to.Close()
				if *op == "" {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				if !errors.Is(err, unix.EIO) {
					t.Errorf("step %d, %q: error %v, want EIO", n, *op, err)
				}
				p.checkSound(t, c, fmt.Sprintf("after step %d, %q, failed", n, *op))
				steps++
			}
			t.Logf("%d steps", steps)
		})
	}
}

func TestEveryStepOfTheFirstOpenFails(t *testing.T) {
	layertest.NeedsRoot(t, "to own the store")
	for n := 0; ; n++ {
		dir := filepath.Join(layertest.MemoryDir(t), "engine")
		ctx, op := durable.WithFaultAt(t.Context(), n, func() error { return unix.EIO })
		s, err := Open(ctx, dir, Options{})
		if err == nil {
			s.Close()
		}
		if *op == "" {
			break
		}
		if !errors.Is(err, unix.EIO) {
			t.Errorf("step %d, %q: error %v, want EIO", n, *op, err)
		}
		again, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatalf("after step %d, %q: %v", n, *op, err)
		}
		checkNothing(t, again)
		again.Close()
	}
}

func TestPowerCutAtEveryStep(t *testing.T) {
	kinds := [][]string{{"mkfs.ext4", "-q", "-F"}, {"mkfs.xfs", "-q", "-f"}}
	if every() > 1 {
		kinds = kinds[:1] // LAYERCTL_FULL=1 runs both, with a cut at each step
	}
	for _, kind := range kinds {
		t.Run(kind[0], func(t *testing.T) {
			f := disktest.New(t, 320<<20, kind[0], kind[1:]...)
			for _, c := range commands {
				cuts := 0
				for n := 0; ; n += every() {
					if cutAt(t, f, c, n) {
						break
					}
					cuts++
				}
				t.Logf("%d power cuts", cuts)
			}
		})
	}
}

// every is how many steps a test goes on at a time.
func every() int {
	if os.Getenv("LAYERCTL_FULL") != "" {
		return 1
	}
	return 43
}

// cutAt cuts the power at a command's n-th step. It is true where the command
// has no such step.
func cutAt(t *testing.T, f *disktest.FS, c command, n int) bool {
	t.Helper()
	for _, name := range []string{"store", "engine"} {
		if err := os.RemoveAll(filepath.Join(f.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	from, err := overlaystore.Open(t.Context(), filepath.Join(f.Dir, "store"), overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := prepared{f.Dir, from, put(t, from, one, "base", "top"), put(t, from, two, "base", "app")}
	to := p.afresh(t, c)
	ctx, op := durable.WithFaultAt(t.Context(), n, f.Cut)
	err = c.run(ctx, to, from, p.other)
	if err := errors.Join(to.Close(), from.Close()); err != nil {
		t.Fatal(err)
	}
	if *op == "" {
		if err != nil {
			t.Fatal(err)
		}
		return true
	}
	f.Reboot()
	if p.from, err = overlaystore.Open(t.Context(), filepath.Join(f.Dir, "store"), overlaystore.Options{}); err != nil {
		t.Fatal(err)
	}
	defer p.from.Close()
	p.checkSound(t, c, fmt.Sprintf("%s, after a power cut at step %d, %q", c.name, n, *op))
	return false
}
