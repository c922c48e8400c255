// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"fmt"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// TestRandomStacksOfTars is TestRandomStacks for a store that keeps tars, on a
// disk and in memory, where the kernel takes loop devices alone. One stack in
// twenty is mounted.
func TestRandomStacksOfTars(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	for name, dir := range map[string]string{"from files": t.TempDir(), "by loop devices": memory(t)} {
		first, count := number(t, "LAYERCTL_SEED", 1), number(t, "LAYERCTL_STACKS", stacks())
		t.Run(fmt.Sprintf("%s from %d", name, first), func(t *testing.T) {
			b := newBench(t, dir, overlaystore.Options{Lower: layer.Tars, NoSync: true})
			for seed := first; seed < first+count && !t.Failed(); seed++ {
				b.check(seed)
			}
		})
	}
}

// tarsMountedOne is of how many stacks of tars one is mounted.
const tarsMountedOne = 20

// mounts says whether a stack is mounted: all are in a store of directories.
func (b *bench) mounts(seed uint64) bool {
	return b.store.Format().Lower != layer.Tars || seed%tarsMountedOne == 0
}

// unpack unpacks a layer into a staging, or keeps its tar there.
func (b *bench) unpack(st *overlaystore.Staging, o unpack.Options, blob io.Reader, want unpack.Source) (unpack.Result, error) {
	if tar := st.Tar(); tar != nil {
		return unpack.Read(b.Context(), blob, want, unpack.ReadOptions{Record: o.Record, Tar: tar})
	}
	return unpack.Layer(b.Context(), st.Dir(), blob, want, o)
}

// Images with the same layers share one index, and each mount is known as that
// of its own image, from files as by loop devices.
func TestImagesThatShareAnIndex(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	for name, dir := range map[string]string{"from files": t.TempDir(), "by loop devices": memory(t)} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, dir, overlaystore.Options{Lower: layer.Tars, NoSync: true})
			layers, _ := stack(1)
			first, err := b.put(layers, false)
			if err != nil {
				t.Fatal(err)
			}
			second := first
			second.Manifest = digest.FromString("another image")
			if second, err = b.store.PutImage(t.Context(), second); err != nil {
				t.Fatal(err)
			}
			for _, image := range []overlaystore.Image{first, second, first} {
				b.target = t.TempDir()
				mount, err := overlaymount.Assemble(t.Context(), b.store, image, overlaymount.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if err := mount.Mount(t.Context(), b.target); err != nil {
					t.Fatal(err)
				}
				got, ok, err := b.store.MountedAt(t.Context(), b.target)
				if err != nil || !ok || got.Manifest != image.Manifest {
					t.Errorf("mounted %s and found %s, %v, %v", image.Manifest, got.Manifest, ok, err)
				}
				defer overlaymount.Unmount(t.Context(), b.store, b.target, overlaymount.UnmountOptions{Lazy: true})
			}
		})
	}
}
