// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/overlaystore"
)

// above is an engine that has the lower two layers of an image, from another store,
// and a store that has only the topmost.
type above struct {
	*testing.T
	fake   *fake
	engine *Engine
	other  *overlaystore.Store
	store  *overlaystore.Store
	image  Image
}

func newAbove(t *testing.T, rebase bool, top func(*testing.T, *overlaystore.Store) digest.Digest) *above {
	t.Helper()
	path := layertest.MemoryDir(t)
	a := &above{T: t, fake: newFake(t, path, rebase)}
	a.fake.serial = 2_000_000 + os.Getpid() // a number that nobody else's mounts have
	a.engine, a.other, a.store = connectTo(t, a.fake), openStore(t, filepath.Join(path, "other")), openStore(t, filepath.Join(path, "store"))
	lower := []digest.Digest{a.add(a.other, "one"), a.add(a.other, "two")}
	if _, err := a.engine.Give(t.Context(), a.other, anImage(t, a.other, "lower:1", lower...), GiveOptions{}); err != nil {
		t.Fatal(err)
	}
	a.image = anImage(t, a.other, "above:1", append(lower, top(t, a.other))...)
	top(t, a.store)
	return a
}

// TestClearBesideAnother: a lease that another process takes while the engine lists
// its leases lives.
func TestClearBesideAnother(t *testing.T) {
	f, e, s := anEngine(t, true)
	owner, err := s.RealPath()
	if err != nil {
		t.Fatal(err)
	}
	var release func() error
	f.ask(func(int) (before, after error) {
		if release == nil {
			release, before = given.Begin(t.Context(), s.Dir(), "layerctl-young", e.where())
			f.leases["layerctl-young"] = &fakeLease{labels: map[string]string{ownerLabel: owner}}
		}
		return before, nil
	})
	if err := e.Clear(t.Context(), s); err != nil || f.leases["layerctl-young"] == nil {
		t.Errorf("the leases are %v, %v", f.leases, err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if err := e.Clear(t.Context(), s); err != nil || len(f.leases) != 0 {
		t.Errorf("the leases are %v, %v", f.leases, err)
	}
}

// TestClearOfALateLease: the engine may take the lease of a giving that was killed
// while the next one looks.
func TestClearOfALateLease(t *testing.T) {
	f, e, s := anEngine(t, true)
	owner, err := s.RealPath()
	if err != nil {
		t.Fatal(err)
	}
	late := &fakeLease{labels: map[string]string{ownerLabel: owner}}
	f.ask(func(int) (before, after error) {
		if f.methods[len(f.methods)-1] == "Delete" && late != nil { // as the next that may write
			f.leases["layerctl-late"], late = late, nil
		}
		return nil, nil
	})
	if err := e.Clear(t.Context(), s); err != nil || late != nil || len(f.leases) != 0 {
		t.Errorf("the leases are %v, %v", f.leases, err)
	}
}

// TestClearOfTheDead: a pull that died has noted where its lease is. That ends there,
// and nowhere else.
func TestClearOfTheDead(t *testing.T) {
	f, e, s := anEngine(t, true)
	for id, namespace := range map[string]string{"layerctl-here": e.at.Namespace, "layerctl-there": "elsewhere"} {
		release, err := given.Begin(t.Context(), s.Dir(), id, given.Place{Address: e.at.Address, Namespace: namespace})
		if err != nil {
			t.Fatal(err)
		}
		mark := filepath.Join(s.Path(), "engines", id+".living")
		noted, err := os.ReadFile(mark)
		if err := errors.Join(err, release(), os.WriteFile(mark, noted, 0o600)); err != nil {
			t.Fatal(err)
		}
		f.leases[id] = &fakeLease{} // without an owner it is as if taken after the list was made
	}
	records, err := given.Open(t.Context(), s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	// It would wait for the end of the test.
	if err := e.Clear(t.Context(), s); err != nil || len(f.leases) != 2 {
		t.Errorf("while somebody gives the leases are %v, %v", f.leases, err)
	}
	if err := records.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Clear(t.Context(), s); err != nil || f.leases["layerctl-here"] != nil || f.leases["layerctl-there"] == nil {
		t.Errorf("the leases are %v, %v", f.leases, err)
	}
	marks, err := filepath.Glob(filepath.Join(s.Path(), "engines", "*.living"))
	if err != nil || len(marks) != 1 || filepath.Base(marks[0]) != "layerctl-there.living" {
		t.Errorf("the marks are %q, %v", marks, err)
	}
}

func plainTop(t *testing.T, s *overlaystore.Store) digest.Digest {
	return addLayer(t, s, "top", layertest.Implied("."), layertest.Implied("a"), regular("a/h", "four"))
}

func linkingTop(t *testing.T, s *overlaystore.Store) digest.Digest {
	return unpacked(t, s, []imagetest.Entry{imagetest.Hardlink("a/h", "a/f")})
}

func (a *above) add(s *overlaystore.Store, name string) digest.Digest {
	a.Helper()
	if name == "one" {
		return addLayer(a.T, s, name, dir(".", 0o750), dir("a", 0o700), regular("a/f", "one"), regular("b", "two"))
	}
	return addLayer(a.T, s, name, dir("a", 0o711), regular("a/g", "three"), layertest.Whiteout("b"))
}

func (a *above) watched() context.Context { return a.fake.watched(a.Context()) }

// handOver holds what the engine has and hands the image over.
func (a *above) handOver(ctx context.Context) error {
	held, err := a.engine.Hold(ctx, a.store, a.image.Layers)
	if err == nil {
		_, err = a.engine.Give(ctx, a.store, a.image, GiveOptions{HandOver: true})
	}
	return errors.Join(err, held.Release(ctx))
}

// whole says that the engine has the image, and that nothing else is left of it.
func (a *above) whole(when string) {
	a.Helper()
	a.fake.check(a.T, when)
	top := a.fake.snapshots[chainIDs(a.image.Layers)[2].String()]
	if top == nil || a.fake.images[a.image.Names[0]] == nil {
		a.Fatalf("%s: the image is not there", when)
	}
	if st, err := os.Stat(filepath.Join(top.dir, "a")); err != nil || st.Mode().Perm() != 0o711 {
		a.Errorf("%s: an implied directory is %v, %v", when, st, err)
	}
	if len(a.fake.leases) != 0 || len(left(a.T, a.store)) != 0 {
		a.Errorf("%s: left are leases %v, files %q", when, a.fake.leases, left(a.T, a.store))
	}
}

// TestHold: of what the engine has nothing need be in the store, and it stays there
// though its image goes meanwhile.
func TestHold(t *testing.T) {
	eachWay(t, func(t *testing.T, rebase bool) {
		a := newAbove(t, rebase, plainTop)
		ctx := a.fake.watched(t.Context())
		held, err := a.engine.Hold(ctx, a.store, a.image.Layers)
		if err != nil || !slices.Equal(held.Layers(), a.image.Layers[:2]) {
			t.Fatalf("held are %v, %v", held.Layers(), err)
		}
		clear(a.fake.images)
		a.fake.collect()
		given, err := a.engine.Give(ctx, a.store, a.image, GiveOptions{HandOver: true})
		if err := errors.Join(err, held.Release(ctx)); err != nil {
			t.Fatal(err)
		}
		if given.Made != 1 || given.Layers != 3 {
			t.Errorf("given is %+v", given)
		}
		a.whole("handed over")
		journals, err := os.ReadDir(filepath.Join(a.store.Path(), "engines/journals"))
		if err != nil || len(journals) != 1 || journals[0].Name() != a.image.Layers[2].Encoded() {
			t.Errorf("journals %v, %v", journals, err)
		}
		records, err := recordsOf(a.store)
		if err != nil || len(records) != 1 {
			t.Fatalf("records %v, %v", records, err)
		}
		report, err := a.engine.Verify(ctx, a.store, records[0], overlaystore.VerifyOptions{})
		if err != nil || report.Layers != 1 || len(report.Differences) > 0 || !slices.Equal(report.Unchecked, a.image.Layers[:2]) {
			t.Errorf("verified %+v, %v", report, err)
		}
	})
}

// TestHoldBesideTheCollector: what the engine removes after it was seen has to come.
func TestHoldBesideTheCollector(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	a := newAbove(t, true, plainTop)
	clear(a.fake.images) // only the collector has not come yet
	a.fake.call = func(int) (before, after error) {
		if a.fake.methods[len(a.fake.methods)-1] == "AddResource" {
			a.fake.collect()
		}
		return nil, nil
	}
	held, err := a.engine.Hold(t.Context(), a.store, a.image.Layers)
	if err != nil || held.Layers() != nil {
		t.Errorf("held are %v, %v", held.Layers(), err)
	}
	var needs *NeedsError
	if err := a.handOver(t.Context()); !errors.As(err, &needs) || needs.Layer != a.image.Layers[0] {
		t.Errorf("without the lowest layer: %v", err)
	}
	if len(a.fake.leases) != 0 || len(left(t, a.store)) != 0 {
		t.Errorf("left are leases %v, files %q", a.fake.leases, left(t, a.store))
	}
}

// TestHoldOfLayersTwice: what the image has once more above must come.
func TestHoldOfLayersTwice(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	a := newAbove(t, true, plainTop)
	layers := []digest.Digest{a.image.Layers[0], a.image.Layers[1], a.image.Layers[0]}
	held, err := a.engine.Hold(t.Context(), a.store, layers)
	if err != nil || !slices.Equal(held.Layers(), layers[1:2]) {
		t.Errorf("held are %v, %v", held.Layers(), err)
	}
	if err := held.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNeeds: a file of a layer that was not fetched, which a layer above links to,
// is not taken from the engine.
func TestNeeds(t *testing.T) {
	eachWay(t, func(t *testing.T, rebase bool) {
		a := newAbove(t, rebase, linkingTop)
		var needs *NeedsError
		if err := a.handOver(t.Context()); !errors.As(err, &needs) || needs.Layer != a.image.Layers[0] {
			t.Fatalf("without the layer that is linked to: %v", err)
		}
		if a.fake.images[a.image.Names[0]] != nil {
			t.Error("and it is listed")
		}
		a.add(a.store, "one")
		if err := a.handOver(a.watched()); err != nil {
			t.Fatal(err)
		}
		a.whole("with it")
		content, err := os.ReadFile(filepath.Join(a.fake.snapshots[chainIDs(a.image.Layers)[2].String()].dir, "a/h"))
		if err != nil || string(content) != "one" {
			t.Errorf("the link is %q, %v", content, err)
		}
	})
}

// TestHoldFaults fails at each call to the engine and at each step on the disk: the
// next hand-over ends well.
func TestHoldFaults(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	for n := 1; ; n += every(7) {
		a := newAbove(t, true, plainTop)
		a.fake.ask(func(i int) (before, after error) {
			if i == n {
				return status.Error(codes.Unknown, "a fault"), nil
			}
			return nil, nil
		})
		err := a.handOver(t.Context())
		reached := a.fake.calls >= n
		a.fake.ask(nil)
		if !reached {
			if err != nil {
				t.Error(err)
			}
			break
		}
		if err := a.handOver(t.Context()); err != nil {
			t.Errorf("after a fault at call %d: %v", n, err)
		}
		a.whole("after a fault")
	}
	for n := 0; ; n += every(7) {
		a := newAbove(t, true, plainTop)
		ctx, op := durable.WithFaultAt(t.Context(), n, func() error { return unix.EIO })
		err := a.handOver(ctx)
		if *op == "" {
			if err != nil {
				t.Error(err)
			}
			return
		}
		if err := a.handOver(a.watched()); err != nil {
			t.Errorf("after %s failed: %v", *op, err)
		}
		a.whole("after " + *op + " failed")
	}
}
