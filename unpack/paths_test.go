// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// Layers that share memory for paths are bounded together; one that fails gives
// back what it took.
func TestLayersSharePaths(t *testing.T) {
	var implied entries
	for i := range 100 {
		implied = append(implied, File(fmt.Sprintf("dir%d/f", i), ""))
	}
	good, bad := Tar(implied...), Tar(append(implied, File("../x", ""))...)
	o := unpack.Options{Paths: unpack.NewPaths(80<<10, nil)} // enough for one of them
	pull := func(blob []byte) error {
		return unpackWith(t.Context(), tempDir(t), bytes.NewReader(blob), o)
	}
	for range 3 {
		if err := pull(bad); !errors.Is(err, unpack.ErrMalformed) {
			t.Fatalf("error = %v, want ErrMalformed", err)
		}
	}
	if err := pull(good); err != nil {
		t.Fatal(err)
	}
	var limit *unpack.LimitError
	if err := pull(good); !errors.As(err, &limit) || limit.Limit != "recorded" || limit.Max != 80<<10 {
		t.Errorf("error of the second layer = %v, want a limit of 80 KiB", err)
	}
}

// Windows and paths are one budget: what paths keep is not there for windows,
// and what windows have is not there for paths, save what those always have.
func TestWindowsAndPathsAreOneBudget(t *testing.T) {
	windows := unpack.NewWindows(24 * mib)
	paths := unpack.NewPaths(100*mib, windows)
	large := StoredZstd(25, Tar(File("a", ""), File("b", strings.Repeat("content ", 1<<19))))
	open := func(o unpack.Options) error {
		o.Windows, o.Paths = windows, paths
		return unpackWith(t.Context(), tempDir(t), bytes.NewReader(large), o)
	}
	if !paths.Take(12 * mib) {
		t.Fatal("12 of 100 MiB were not there for paths")
	}
	var limit *unpack.LimitError
	if err := open(unpack.Options{}); !errors.As(err, &limit) || limit.Limit != "window" || limit.Max != 24*mib {
		t.Errorf("32 MiB of window beside 12 MiB of paths: %v, want a limit of 24 MiB", err)
	}
	paths.Release()
	heard := false
	err := open(unpack.Options{Serial: true, Record: func(layer.Entry) error {
		if !heard {
			heard = true
			if paths.Take(4*mib+1) || !paths.Take(4*mib-1<<10) { // the layer has kept some bytes, too
				t.Error("beside a window that has all else, paths have not just 4 MiB")
			}
		}
		return nil
	}})
	if err != nil || !heard {
		t.Errorf("32 MiB of window beside nothing: %v", err)
	}
	paths.Release()
	if !paths.Take(100*mib) || paths.Take(1) {
		t.Error("when no window is out, paths have not just their own bound")
	}
}
