// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/trash"
)

// openDirs makes directories below base and opens them until the test ends.
func openDirs(t *testing.T, names ...string) (base string, dirs []*os.File) {
	t.Helper()
	base = t.TempDir()
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(base, name), 0o755); err != nil {
			t.Fatal(err)
		}
		dir, err := os.Open(filepath.Join(base, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dir.Close() })
		dirs = append(dirs, dir)
	}
	return base, dirs
}

func writeEmpty(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestMoveAndRemove(t *testing.T) {
	base, dirs := openDirs(t, ".", "layers", "trash")
	for _, file := range []string{"layers/a/f", "layers/b/f", "fix/c/f"} {
		writeEmpty(t, filepath.Join(base, file))
	}
	name, err := trash.Move(t.Context(), dirs[1], "a", dirs[2])
	if err != nil {
		t.Fatal(err)
	}
	trashed, err := trash.MoveAll(t.Context(), dirs[0], []string{"layers/b", "fix/c"}, dirs[2])
	if err != nil || len(trashed) != 2 {
		t.Fatal(trashed, err)
	}
	for _, name := range append(trashed, name) {
		if _, err := os.Stat(filepath.Join(base, "trash", name, "f")); err != nil {
			t.Error(err)
		}
		if err := trash.Remove(dirs[2], name); err != nil {
			t.Error(err)
		}
	}
	for _, dir := range []string{"layers", "fix", "trash"} {
		if left, err := os.ReadDir(filepath.Join(base, dir)); err != nil || len(left) > 0 {
			t.Errorf("%s has %v, %v", dir, left, err)
		}
	}
	if _, err := trash.Move(t.Context(), dirs[1], "none", dirs[2]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of what is not there: %v", err)
	}
	// What was moved before it failed is told, for it is to be removed.
	writeEmpty(t, filepath.Join(base, "layers/d/f"))
	if trashed, err := trash.MoveAll(t.Context(), dirs[0], []string{"layers/d", "layers/none"}, dirs[2]); len(trashed) != 1 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of one that is there: %v, %v", trashed, err)
	}
}

func TestRemoveTemps(t *testing.T) {
	base, dirs := openDirs(t, "refs")
	for _, name := range []string{durable.TempPrefix + "a", durable.TempPrefix, "kept.json", "x" + durable.TempPrefix} {
		writeEmpty(t, filepath.Join(base, "refs", name))
	}
	if err := trash.RemoveTemps(t.Context(), dirs[0]); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(base, "refs"))
	if err != nil || len(left) != 2 || left[0].Name() != "kept.json" {
		t.Errorf("left are %v, %v", left, err)
	}
}
