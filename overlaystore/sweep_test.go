// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/overlaystore/internal/sweep"
)

func TestSweep(t *testing.T) {
	now := time.Unix(1e9, 0)
	a, b, c := digest.FromString("a"), digest.FromString("b"), digest.FromString("c")
	images := func() []sweep.Image {
		return []sweep.Image{
			{Manifest: a, Dirs: map[string]bool{a.Encoded(): true}, Referenced: true, Used: now.Add(-time.Hour)},
			{Manifest: b, Dirs: map[string]bool{a.Encoded(): true, b.Encoded(): true}, Referenced: true, Used: now.Add(time.Hour)},
			{Manifest: c, Dirs: map[string]bool{c.Encoded(): true}, Used: now.Add(-2 * time.Hour)},
		}
	}
	sizes := map[string]sweep.Size{
		"layers/a": {Bytes: 10, ID: a}, "layers/b": {Bytes: 20, ID: b, Made: now}, "layers/c": {Bytes: 40, ID: c},
	}
	for _, test := range []struct {
		name  string
		s     sweep.Sweep
		drops []digest.Digest
		gone  []string
	}{
		{"what nothing names", sweep.Sweep{}, []digest.Digest{c}, []string{"layers/c"}},
		{"in use", sweep.Sweep{InUse: map[string]bool{c.Encoded(): true}}, nil, nil},
		{"used lately", sweep.Sweep{OlderThan: 3 * time.Hour}, nil, nil},
		{"for room", sweep.Sweep{KeepStorage: 30}, []digest.Digest{c}, []string{"layers/c"}},
		{"for more room", sweep.Sweep{KeepStorage: 29}, []digest.Digest{c, a, b}, []string{"layers/a", "layers/b", "layers/c"}},
		{"for all room", sweep.Sweep{KeepStorage: -1}, []digest.Digest{c, a, b}, []string{"layers/a", "layers/b", "layers/c"}},
		{"for room, but what was used in a later time", sweep.Sweep{KeepStorage: -1, OlderThan: time.Minute}, []digest.Digest{c, a}, []string{"layers/c"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.s
			s.Now, s.Images, s.Sizes = now, images(), sizes
			if s.InUse == nil {
				s.InUse = map[string]bool{}
			}
			if got := s.Drop(); !slices.Equal(got, test.drops) {
				t.Errorf("drops %v, want %v", got, test.drops)
			}
			if got := s.Unneeded(); !slices.Equal(got, test.gone) {
				t.Errorf("gone are %v, want %v", got, test.gone)
			}
		})
	}
}

// What another process removes meanwhile hides nothing of what is there.
func TestMeasureBesideAPrune(t *testing.T) {
	dir := t.TempDir()
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	const layers = 8
	for i := range layers {
		if err := os.MkdirAll(filepath.Join(dir, "layers", digest.FromString(strconv.Itoa(i)).Encoded()), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	measured := 0
	sizes, err := sweep.Measurer{Root: root, Bytes: func(dir *os.File) int64 {
		if measured++; measured > 1 {
			return 1
		}
		others, err := filepath.Glob(filepath.Join(filepath.Dir(dir.Name()), "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range others[:layers/2] {
			if err := os.RemoveAll(other); err != nil {
				t.Fatal(err)
			}
		}
		return 1
	}}.Measure("layers")
	if left, _ := os.ReadDir(filepath.Join(dir, "layers")); err != nil || len(sizes) < len(left) {
		t.Errorf("measured %d of %d, %v", len(sizes), len(left), err)
	}
}
