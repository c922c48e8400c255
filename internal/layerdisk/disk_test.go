// SPDX-License-Identifier: Apache-2.0

package layerdisk

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What stands in for openat2 must find and refuse the same.
func TestDirectoriesAreOpenedAlikeWithoutOpenat2(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"a/up": "..", "out": "/", "a/b/f": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for path, want := range map[string]bool{
		"a": true, "a/b/c": true, "a/up": false, "a/up/a": false, "out": false, "out/etc": false, "a/b/f": false, "file": false, "file/x": false, "none/x": false,
	} {
		for name, open := range map[string]func(int, string) (int, error){"openat2": openBelow, "openat": walkBelow} {
			fd, err := open(int(root.Fd()), path)
			if got := err == nil; got != want {
				t.Errorf("%s of %s: error = %v, want success %v", name, path, err, want)
			}
			switch err {
			case nil:
				unix.Close(fd)
			case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
			default:
				t.Errorf("%s of %s: error = %v, want one that leads to a walk", name, path, err)
			}
		}
	}
}
