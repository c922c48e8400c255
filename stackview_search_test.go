// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// TestSearch looks for paths in random stacks from the topmost layer down: what
// is settled early must be what all layers come to.
func TestSearch(t *testing.T) {
	early, seeds := 0, uint64(12)
	if full() {
		seeds = 150
	}
	for seed := range seeds {
		layers, _ := stack(seed)
		view, err := stackview.NewStack(stackview.Options{}).Merge(readLayers(t, layers)...)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		top := readLayers(t, layers)
		slices.Reverse(top)
		for _, path := range lookedFor(seed, view) {
			for _, follow := range []bool{false, true} {
				want, exists := view.Resolve(path, follow)
				for n := range len(top) + 1 {
					found, err := stackview.Search(path, follow, n == len(top), top[:n]...)
					if errors.Is(err, stackview.ErrLinks) && !exists {
						break
					}
					if err != nil {
						t.Fatalf("seed %d: %s: %v", seed, path, err)
					}
					if !found.Settled {
						continue
					}
					if n < len(top) {
						early++
					}
					if g, w := place(found.File, found.Exists, len(top)-1-found.Layer), place(want, exists, want.Layer); g != w {
						t.Errorf("seed %d: %s (follow %v) in %d of %d layers = %s, want %s\n%s", seed, path, follow, n, len(top), g, w, tell(layers))
					}
					break
				}
			}
		}
	}
	if early < int(seeds)*6 {
		t.Errorf("%d searches ended early: too few to say anything", early)
	}
}

// place is what a search must find out; of directories more is only in the
// view.
func place(f stackview.File, exists bool, at int) string {
	switch {
	case !exists:
		return "nothing"
	case f.Type == layer.Directory:
		return f.Path + "/"
	}
	return fmt.Sprintf("%s %c of layer %d: %s %q", f.Path, f.Type, at, f.From, f.Linkname)
}

// readLayers reads what tars say, the lowest layer first.
func readLayers(t *testing.T, tars [][]imagetest.Entry) []*stackview.Layer {
	t.Helper()
	s := stackview.NewStack(stackview.Options{})
	var layers []*stackview.Layer
	for _, entries := range tars {
		l := s.Layer()
		r, err := unpack.Read(t.Context(), bytes.NewReader(imagetest.Tar(entries...)), unpack.Source{}, unpack.ReadOptions{Record: l.Record})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.End(r.Facts); err != nil {
			t.Fatal(err)
		}
		layers = append(layers, l)
	}
	return layers
}

// lookedFor are the paths of a view, and others through symlinks, files and
// what is not there.
func lookedFor(seed uint64, view *stackview.View) []string {
	random := rand.New(rand.NewPCG(seed, 1))
	paths := []string{"/", "nowhere", "../..", ""}
	for f := range view.All() {
		paths = append(paths, f.Path, "/"+f.Path+"/", f.Path+"/..")
		if f.Type == layer.Symlink {
			paths = append(paths, f.Path+"/a", f.Path+"/b/../c")
		}
	}
	for range 30 {
		parts := make([]string, 1+random.IntN(4))
		for i := range parts {
			parts[i] = []string{"a", "b", "c", "d", "..", ".", "new"}[random.IntN(7)]
		}
		paths = append(paths, strings.Join(parts, "/"))
	}
	return paths
}
