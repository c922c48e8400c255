// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl/internal/filesum"
)

func TestZeros(t *testing.T) {
	sum := filesum.Of([]byte("head"))
	for _, n := range []int64{0, 1, 2, 3, 255, 4096, 1_000_003} {
		want := filesum.Add(sum, make([]byte, n))
		if got := filesum.AddZeros(sum, n); got != want {
			t.Errorf("%d zeros: %08x, want %08x", n, got, want)
		}
	}
	if got, want := filesum.AddZeros(filesum.AddZeros(sum, 1<<40), 1<<40), filesum.AddZeros(sum, 1<<41); got != want {
		t.Errorf("twice 2^40 zeros: %08x, want %08x", got, want)
	}
}

func TestOfFile(t *testing.T) {
	const gap = 1<<20 + 7
	zeros := make([]byte, gap)
	for _, c := range []struct {
		name   string
		pieces []string // "" is a gap
	}{
		{"empty", nil},
		{"data", []string{"data"}},
		{"hole", []string{""}},
		{"hole first", []string{"", "data"}},
		{"hole last", []string{"data", ""}},
		{"holes between", []string{"data", "", "more", "", "", "end"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "file"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			want, size := uint32(0), int64(0)
			for _, p := range c.pieces {
				if p == "" {
					want, size = filesum.Add(want, zeros), size+gap
					continue
				}
				if _, err := f.WriteAt([]byte(p), size); err != nil {
					t.Fatal(err)
				}
				want, size = filesum.Add(want, []byte(p)), size+int64(len(p))
			}
			if err := f.Truncate(size); err != nil {
				t.Fatal(err)
			}
			if got, n, err := filesum.OfFile(f); err != nil || got != want || n != size {
				t.Errorf("%08x of %d bytes, %v; want %08x of %d", got, n, err, want, size)
			}
		})
	}
}

// What takes time in proportion to a hole would not end here.
func TestOfLargeHole(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 1 << 42
	if err := f.Truncate(size); err != nil {
		t.Skipf("needs a filesystem with files of 4 TiB: %v", err)
	}
	if got, n, err := filesum.OfFile(f); err != nil || n != size || got != filesum.AddZeros(0, size) {
		t.Errorf("%08x of %d bytes, %v", got, n, err)
	}
}
