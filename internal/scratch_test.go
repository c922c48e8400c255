// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl/internal/scratch"
)

func TestOpenLeavesNoName(t *testing.T) {
	dir := t.TempDir()
	f, err := scratch.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v, want an empty directory", list, err)
	}
	if free, err := scratch.Free(f); err != nil || free <= 0 {
		t.Errorf("got %d free bytes, %v", free, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenSaysWhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	_, err := scratch.Open(dir)
	var path *fs.PathError
	if !errors.As(err, &path) || path.Path != dir || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that there is no %s", err, dir)
	}
}

func TestDir(t *testing.T) {
	t.Setenv("TMPDIR", "/somewhere")
	if got := scratch.Dir(); got != "/somewhere" {
		t.Errorf("got %s, want what $TMPDIR says", got)
	}
	t.Setenv("TMPDIR", "")
	if got := scratch.Dir(); got != "/var/tmp" && got != "/tmp" {
		t.Errorf("got %s", got)
	}
}
