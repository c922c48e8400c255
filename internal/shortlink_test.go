// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/layerctl/layerctl/internal/shortlink"
)

func TestNames(t *testing.T) {
	base, dirs := openDirs(t, ".", "l", "locks")
	root, d := dirs[0], shortlink.Dir{Links: dirs[1], Locks: dirs[2]}
	names := func(paths ...string) []string {
		t.Helper()
		got, err := d.Names(t.Context(), paths)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := names("layers/a", "layers/b", "layers/a"); !slices.Equal(got, []string{"1", "2", "1"}) {
		t.Errorf("got %q", got)
	}
	if got := names("layers/c", "layers/b"); !slices.Equal(got, []string{"3", "2"}) {
		t.Errorf("again: %q", got)
	}
	// What is no number, and the link to the empty directory, are not in the way.
	for _, name := range []string{"0", "other!", ".tmp"} {
		if err := os.Symlink("../empty", filepath.Join(base, "l", name)); err != nil {
			t.Fatal(err)
		}
	}
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("layers/m%d", i))
	}
	if got := names(many...); got[0] != "4" || got[6] != "a" || got[39] != "17" {
		t.Errorf("forty more: %q", got)
	}
	// Only what leads to nothing is stale, and never the last one, whose number
	// would be given again to something that an old line would then mount.
	if err := os.MkdirAll(filepath.Join(base, "layers/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	stale, err := d.Stale(root)
	if err != nil || len(stale) != 41 || slices.Contains(stale, "2") || slices.Contains(stale, "17") || slices.Contains(stale, "0") {
		t.Errorf("stale are %q, %v", stale, err)
	}
	if err := os.Remove(filepath.Join(base, "l/3")); err != nil {
		t.Fatal(err)
	}
	if got := names("layers/new"); !slices.Equal(got, []string{"18"}) {
		t.Errorf("a number was given again: %q", got)
	}
}
