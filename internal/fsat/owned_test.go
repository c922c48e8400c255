// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Who owns a file reads it whatever its mode and those above it are, and leaves
// them as they were.
func TestOwnedReadsWhatModesForbid(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		base := t.TempDir()
		modes := map[string]os.FileMode{
			"shut": 0, "shut/in": 0o600, "shut/in/none": 0, "shut/in/write": 0o200, "shut/in/run": 0o111, "plain": 0o755, "plain/none": 0,
		}
		must(t, os.MkdirAll(base+"/shut/in", 0o755), os.Mkdir(base+"/plain", 0o755))
		files := []string{"shut/in/none", "shut/in/write", "shut/in/run", "plain/none"}
		for _, name := range files {
			must(t, os.WriteFile(filepath.Join(base, name), []byte(name), 0o644))
		}
		for _, name := range append(files, "plain", "shut/in", "shut") {
			must(t, os.Chmod(filepath.Join(base, name), modes[name]))
		}
		t.Cleanup(func() { os.Chmod(base+"/shut", 0o700); os.Chmod(base+"/shut/in", 0o700) })
		root := open(t, base)
		var wg sync.WaitGroup
		for range 4 {
			for _, name := range files {
				wg.Go(func() {
					if got, err := readOwned(root, name); err != nil || got != name {
						t.Errorf("%s: %q, %v", name, got, err)
					}
				})
			}
		}
		wg.Wait()
		for name, mode := range modes {
			f, err := FindOwned(root, name)
			must(t, err)
			st, err := Stat(f)
			must(t, err, f.Close())
			if got := os.FileMode(st.Mode & 0o777); got != mode.Perm() {
				t.Errorf("%s has mode %v afterwards, want %v", name, got, mode)
			}
		}
	})
}

func readOwned(root *os.File, name string) (string, error) {
	found, err := FindOwned(root, name)
	if err != nil {
		return "", err
	}
	defer found.Close()
	f, err := ReopenOwned(root, found)
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	return string(raw), err
}
