// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// TestRandomStacks gives random stacks of layers to an engine, every second one
// ahead, and compares what
// its snapshots show, stacked as an engine stacks them, with what the store's own
// mount shows: that one has a fix layer, and is held against the model.
func TestRandomStacks(t *testing.T) {
	layertest.NeedsRoot(t, "to mount overlays")
	layertest.NeedsMount(t)
	stacks := uint64(12)
	if os.Getenv("LAYERCTL_FULL") == "1" {
		stacks = 150
	}
	top := disktest.Memory(t)
	s := openStore(t, filepath.Join(top, "store"))
	f := newFake(t, top, true)
	f.disk = filepath.Join(top, "engine")
	e := connectTo(t, f)
	above := newFake(t, t.TempDir(), true)
	above.disk = filepath.Join(top, "engine-above")
	for seed := range stacks {
		layers := randomStack(rand.New(rand.NewPCG(seed, 16)))
		var diffIDs []digest.Digest
		for _, entries := range layers {
			diffIDs = append(diffIDs, unpacked(t, s, entries))
		}
		img := anImage(t, s, fmt.Sprintf("stack:%d", seed), diffIDs...)
		want := listed(t, func(target string) {
			m, err := overlaymount.Assemble(t.Context(), s, img.Image, overlaymount.Options{})
			if err == nil {
				err = m.Mount(t.Context(), target)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		var o GiveOptions
		if seed%2 == 1 {
			o.Ahead = e.Ahead(t.Context(), s, diffIDs)
		}
		_, err := e.Give(t.Context(), s, img, o)
		if err = errors.Join(err, o.Ahead.End(t.Context())); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, told(layers))
		}
		got := shown(t, top, f, diffIDs)
		if got != want {
			t.Fatalf("seed %d: the engine shows\n%s\nand the store's mount\n%s\n%s", seed, got, want, told(layers))
		}
		if got := handedOver(t, top, s, above, img, layers, 1+int(seed)%(len(layers)-1)); got != want {
			t.Fatalf("seed %d: handed over without the lowest layers the engine shows\n%s\nand the store's mount\n%s\n%s", seed, got, want, told(layers))
		}
	}
}

// shown is what the engine's snapshots of an image show, stacked as it stacks them.
func shown(t *testing.T, top string, f *fake, diffIDs []digest.Digest) string {
	t.Helper()
	return listed(t, func(target string) {
		lower := []string{filepath.Join(top, "empty")} // an overlay has two layers
		if err := os.MkdirAll(lower[0], 0o755); err != nil {
			t.Fatal(err)
		}
		for _, chain := range chainIDs(diffIDs) {
			lower = slices.Insert(lower, 0, f.snapshots[chain.String()].dir)
		}
		if err := unix.Mount("overlay", target, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(lower, ":")); err != nil {
			t.Fatal(err)
		}
	})
}

// handedOver hands an image over to an engine that has so many of its lowest layers,
// given from another store, from one that has the others and what these need.
func handedOver(t *testing.T, top string, other *overlaystore.Store, f *fake, img Image, layers [][]imagetest.Entry, have int) string {
	t.Helper()
	e := connectTo(t, f)
	if _, err := e.Give(t.Context(), other, anImage(t, other, "lower:"+img.Image.Manifest.Encoded(), img.Layers[:have]...), GiveOptions{}); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, filepath.Join(top, "above", img.Image.Manifest.Encoded()))
	for _, entries := range layers[have:] {
		unpacked(t, s, entries)
	}
	for range layers {
		held, err := e.Hold(t.Context(), s, img.Layers)
		if err == nil {
			_, err = e.Give(t.Context(), s, img, GiveOptions{HandOver: true})
		}
		err = errors.Join(err, held.Release(t.Context()))
		var needs *NeedsError
		if err == nil {
			return shown(t, top, f, img.Layers)
		} else if !errors.As(err, &needs) {
			t.Fatalf("%v\n%s", err, told(layers))
		}
		unpacked(t, s, layers[slices.Index(img.Layers, needs.Layer)])
	}
	t.Fatalf("it always needs one more layer\n%s", told(layers))
	return ""
}

// randomStack has two to five layers over few names: directories that are told or
// implied, files, whiteouts and opaque directories.
func randomStack(r *rand.Rand) [][]imagetest.Entry {
	stack := make([][]imagetest.Entry, 2+r.IntN(4))
	for i := range stack {
		if i == 0 {
			stack[i] = append(stack[i], directory(r, "."))
		}
		files := map[string]bool{}
		for range 1 + r.IntN(6) {
			var names []string
			for range 1 + r.IntN(3) {
				names = append(names, string(rune('a'+r.IntN(3))))
			}
			name := strings.Join(names, "/")
			if below(files, name) {
				continue
			}
			switch r.IntN(6) {
			case 0, 1:
				stack[i] = append(stack[i], directory(r, name))
			case 2:
				stack[i] = append(stack[i], imagetest.File(path.Join(path.Dir(name), ".wh."+path.Base(name)), ""))
			case 3:
				stack[i] = append(stack[i], imagetest.File(name+"/.wh..wh..opq", ""))
			default:
				files[name] = true
				stack[i] = append(stack[i], imagetest.File(name, fmt.Sprint(r.Uint32())))
			}
		}
	}
	return stack
}

// below says whether the name, one above it or one below it is a file.
func below(files map[string]bool, name string) bool {
	for f := range files {
		if f == name || strings.HasPrefix(name, f+"/") || strings.HasPrefix(f, name+"/") {
			return true
		}
	}
	return false
}

func directory(r *rand.Rand, name string) imagetest.Entry {
	e := imagetest.Dir(name, int64(0o700+r.IntN(0o100)))
	e.Uid, e.ModTime = r.IntN(3), time.Unix(int64(r.Uint32()), 0)
	return e
}

func unpacked(t *testing.T, s *overlaystore.Store, entries []imagetest.Entry) digest.Digest {
	t.Helper()
	tar := imagetest.Tar(entries...)
	diffID := digest.FromBytes(tar)
	has, err := s.HasLayer(diffID)
	if has && err == nil {
		return diffID
	}
	g, err := s.Stage(t.Context(), diffID)
	if err != nil {
		t.Fatal(err)
	}
	result, err := unpack.Layer(t.Context(), g.Dir(), bytes.NewReader(tar), unpack.Source{DiffID: diffID}, unpack.Options{Form: s.Format().Form, Record: g.Record})
	if err == nil {
		err = g.Seal(t.Context(), overlaystore.LayerRecord{Size: result.Size, DiskSize: result.Content, Facts: result.Facts})
	}
	if err == nil {
		err = s.Commit(t.Context(), g)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, told([][]imagetest.Entry{entries}))
	}
	return diffID
}

// listed is a line a path of what is mounted.
func listed(t *testing.T, mount func(target string)) string {
	t.Helper()
	target := t.TempDir()
	mount(target)
	defer func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Error(err)
		}
	}()
	var b strings.Builder
	err := filepath.WalkDir(target, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		var content []byte
		if d.Type().IsRegular() {
			if content, err = os.ReadFile(name); err != nil {
				return err
			}
		}
		fmt.Fprintf(&b, "%s %o %d:%d %d %q\n", strings.TrimPrefix(name, target), st.Mode, st.Uid, st.Gid, st.Mtim.Sec, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// told shows layers to whoever has to find the fault.
func told(layers [][]imagetest.Entry) string {
	var b strings.Builder
	for i, entries := range layers {
		for _, e := range entries {
			fmt.Fprintf(&b, "layer %d: %q %o %d:%d %s\n", i, e.Typeflag, e.Mode, e.Uid, e.Gid, e.Name)
		}
	}
	return b.String()
}
