// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/overlaystore"
)

// held is an engine that was given an image, and the directory of its topmost
// layer there.
type held struct {
	*testing.T
	fake   *fake
	engine *Engine
	store  *overlaystore.Store
	image  Image
	top    string
}

func hold(t *testing.T, o GiveOptions) *held {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, true)
	return holdIn(t, f, e, s, o)
}

func holdIn(t *testing.T, f *fake, e *Engine, s *overlaystore.Store, o GiveOptions) *held {
	t.Helper()
	f.serial = 1_000_000 + os.Getpid() // a number that nobody else's mounts have
	h := &held{T: t, fake: f, engine: e, store: s, image: threeLayers(t, s)}
	if _, err := h.engine.Give(t.Context(), s, h.image, o); err != nil {
		t.Fatal(err)
	}
	h.top = h.dir(2)
	return h
}

// dir is the directory of a layer in the engine.
func (h *held) dir(layer int) string {
	return h.fake.snapshots[chainIDs(h.image.Layers)[layer].String()].dir
}

// differences are what a verification finds, and how many bytes it has read.
func (h *held) differences() (list []string, read int64) {
	h.Helper()
	records, err := recordsOf(h.store)
	if err != nil || len(records) != 1 {
		h.Fatalf("records %v, %v", records, err)
	}
	report, err := h.engine.Verify(h.Context(), h.store, records[0], overlaystore.VerifyOptions{})
	if err != nil {
		h.Fatal(err)
	}
	for _, d := range report.Differences {
		list = append(list, strings.TrimSpace(d.Path+" "+d.Field))
	}
	return list, report.Bytes
}

// rot replaces a file by another with other bytes.
func rot(t *testing.T, path string) {
	t.Helper()
	st, err := os.Stat(path)
	if err == nil {
		err = errors.Join(os.Remove(path), os.WriteFile(path, make([]byte, st.Size()), st.Mode()), os.Chtimes(path, st.ModTime(), st.ModTime()))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (h *held) renew() {
	h.Helper()
	n, err := h.engine.Renew(h.Context(), h.store, h.image.Image, h.image.Layers[2:])
	if err != nil || n != 1 {
		h.Errorf("renewed %d layers, %v", n, err)
	}
}

// beside are what there is next to the topmost layer's directory.
func (h *held) beside() (names []string) { return h.besides(h.top) }

func (h *held) besides(dir string) (names []string) {
	h.Helper()
	list, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		h.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestVerifyAndRenew(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(*testing.T, string)
		want []string
	}{
		{"content", func(t *testing.T, dir string) { rot(t, dir+"/a/h") }, []string{"a/h content"}},
		{"a file gone", func(t *testing.T, dir string) { _ = os.Remove(dir + "/a/h") }, []string{"a/h missing"}},
		{"all gone", func(t *testing.T, dir string) { _ = os.RemoveAll(dir + "/a") }, []string{"a/h missing"}},
		{"a mode", func(t *testing.T, dir string) { rot(t, dir+"/a/h"); _ = os.Chmod(dir+"/a/h", 0o7) }, []string{"a/h content", "a/h mode"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hold(t, GiveOptions{})
			if found, read := h.differences(); found != nil || read != 0 {
				t.Errorf("what was given differs: %q, and %d bytes were read", found, read)
			}
			c.harm(t, h.top)
			found, _ := h.differences()
			if slices.Sort(found); !slices.Equal(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
			h.renew()
			if found, read := h.differences(); found != nil || read != 0 {
				t.Errorf("what was renewed differs: %q, and %d bytes were read", found, read)
			}
			if st, err := os.Stat(h.top + "/a"); err != nil || st.Mode().Perm() != 0o711 {
				t.Errorf("an implied directory is %v, %v", st.Mode(), err)
			}
			if got := h.beside(); !slices.Equal(got, []string{"fs"}) {
				t.Errorf("beside it are %q", got)
			}
		})
	}
}

// TestVerifyWhatWasHandedOver: the store has the journals, and nothing else. It keeps
// them where the store's own copy is taken from its engines.
func TestVerifyWhatWasHandedOver(t *testing.T) {
	h := hold(t, GiveOptions{HandOver: true})
	if _, err := h.store.Prune(t.Context(), overlaystore.PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	if has, err := h.store.HasLayer(h.image.Layers[2]); err != nil || has {
		t.Fatalf("the store has its layers: %v, %v", has, err)
	}
	if taken, err := h.engine.Take(t.Context(), h.store, h.image.Image.Manifest, nil); err != nil || taken != nil {
		t.Errorf("taken are %q, %v", taken, err)
	}
	if found, read := h.differences(); found != nil || read == 0 {
		t.Errorf("what was handed over differs: %q, and %d bytes were read", found, read)
	}
	rot(t, h.top+"/a/h")
	if found, _ := h.differences(); !slices.Equal(found, []string{"a/h content"}) {
		t.Errorf("found %q", found)
	}
	h.image = threeLayers(t, h.store)
	h.renew()
	if found, _ := h.differences(); found != nil {
		t.Errorf("what was renewed differs: %q", found)
	}
	records, err := given.Open(t.Context(), h.store.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	list, err := recordsOf(h.store)
	if err == nil {
		err = records.Forget(t.Context(), h.store.Dir(), list[0])
	}
	if left := journals(t, h.store); err != nil || left > 0 {
		t.Errorf("%d journals are left, %v", left, err)
	}
}

// TestGiveWhatWasHandedOver: where what was handed over is given once more, by another
// name, and that is interrupted, a prune takes that name, and what was handed over stays
// known.
func TestGiveWhatWasHandedOver(t *testing.T) {
	h := hold(t, GiveOptions{HandOver: true})
	only := func() given.Record {
		t.Helper()
		list, err := recordsOf(h.store)
		if err != nil || len(list) != 1 {
			t.Fatalf("the records are %+v, %v", list, err)
		}
		return list[0]
	}
	before := only()
	img := h.image
	img.Names = []string{"docker.io/library/other:1"}
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if h.fake.images[img.Names[0]] != nil && strings.HasPrefix(op, "create") {
			return unix.EIO
		}
		return nil
	})
	if _, err := h.engine.Give(ctx, h.store, img, GiveOptions{}); !errors.Is(err, unix.EIO) || h.fake.images[img.Names[0]] == nil {
		t.Fatal(err)
	}
	if r := only(); !r.Complete || !r.HandedOver || !r.Again {
		t.Errorf("interrupted: %+v", r)
	}
	incomplete := func(complete bool) (bool, error) { return !complete, nil }
	taken, err := h.engine.Take(t.Context(), h.store, img.Image.Manifest, incomplete)
	if err != nil || !slices.Contains(taken, img.Names[0]) || slices.Contains(taken, h.image.Names[0]) {
		t.Errorf("taken are %q, %v", taken, err)
	}
	r := only()
	has := slices.Contains(r.AllNames(), given.Name{Name: h.image.Names[0], Root: h.image.Root.Digest})
	if !r.Complete || !r.HandedOver || r.Again || !has || journals(t, h.store) != len(before.Layers) {
		t.Errorf("taken: %+v", r)
	}
}

// Who verifies takes nothing from who makes a layer anew.
func TestVerifyBesideARenewal(t *testing.T) {
	h := hold(t, GiveOptions{})
	rot(t, h.top+"/a/h")
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if op == "syncfs" {
			h.differences()
		}
		return nil
	})
	if n, err := h.engine.Renew(ctx, h.store, h.image.Image, h.image.Layers[2:]); err != nil || n != 1 {
		t.Errorf("renewed %d layers, %v", n, err)
	}
	if found, _ := h.differences(); found != nil || !slices.Equal(h.beside(), []string{"fs"}) {
		t.Errorf("found %q, and %q beside it", found, h.beside())
	}
}

// TestRenewFaults: whatever step fails, a layer is the old one or the new one,
// and the next renewal ends well.
func TestRenewFaults(t *testing.T) {
	for n := 1; ; n += every(11) {
		h := hold(t, GiveOptions{})
		rot(t, h.top+"/a/h")
		ctx, failed := durable.WithFaultAt(t.Context(), n, func() error { return unix.EIO })
		_, err := h.engine.Renew(ctx, h.store, h.image.Image, h.image.Layers[2:])
		if *failed == "" {
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d operations", n-1)
			return
		}
		if !errors.Is(err, unix.EIO) {
			t.Errorf("step %d (%s): error %v", n, *failed, err)
		}
		if found, _ := h.differences(); found != nil && !slices.Equal(found, []string{"a/h content"}) {
			t.Errorf("step %d (%s): found %q", n, *failed, found)
		}
		h.renew()
		if found, _ := h.differences(); found != nil || !slices.Equal(h.beside(), []string{"fs"}) {
			t.Errorf("step %d (%s): the next renewal leaves %q, and %q beside it", n, *failed, found, h.beside())
		}
	}
}
