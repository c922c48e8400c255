// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A process that was killed leaves its directory, which the next one removes;
// what is of others, and what is under way, stays.
func TestLeftovers(t *testing.T) {
	top := t.TempDir()
	make := func(name string, mode os.FileMode) string {
		path := filepath.Join(top, name)
		if err := errors.Join(os.MkdirAll(filepath.Join(path, "root/deep"), 0o700), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dead := make(tempPrefix+rand.Text(), 0o700)
	kept := []string{
		make(tempPrefix+rand.Text(), 0o755), // others give it another mode
		make(tempPrefix+"notes", 0o700),
		make("."+rand.Text(), 0o700),
	}
	link := filepath.Join(top, tempPrefix+rand.Text())
	if err := os.Symlink(kept[0], link); err != nil {
		t.Fatal(err)
	}
	foreign := make(tempPrefix+rand.Text(), 0o700)
	if os.Geteuid() == 0 {
		if err := os.Chown(foreign, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, foreign)
	}
	first, err := Begin(t.Context(), filepath.Join(top, "one"), false)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Begin(t.Context(), filepath.Join(top, "two"), false)
	if err != nil {
		t.Fatal(err)
	}
	kept = append(kept, filepath.Join(top, first.name), link)
	if _, err := os.Lstat(dead); err == nil {
		t.Error("what a dead process left is there")
	}
	for _, path := range kept {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(first.Discard(), second.Discard()); err != nil {
		t.Error(err)
	}
}
