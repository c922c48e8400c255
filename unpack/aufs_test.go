// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/unpack"
)

// TestAUFSLinks: AUFS kept a file of several names in a store of its own, and
// Docker packed its layers as AUFS had them: the content stands in the store, and
// every name is a hard link to it.
func TestAUFSLinks(t *testing.T) {
	aufs, store := File(".wh..wh.aufs", ""), Dir(".wh..wh.plnk/", 0o700)
	one, two := File(".wh..wh.plnk/123.456", "one"), File("./.wh..wh.plnk/7.8", "two")
	with := func(more ...Entry) entries { return append(entries{aufs, store, one, two}, more...) }
	oneFile := func(t *testing.T, dir string, _ unpack.Result) {
		a, b := stat(t, dir, "bin/a"), stat(t, dir, "bin/b")
		if a.Ino != b.Ino || a.Nlink != 2 {
			t.Errorf("inodes %d and %d, %d names, want one file of two", a.Ino, b.Ino, a.Nlink)
		}
		if _, err := os.Lstat(filepath.Join(dir, ".wh..wh.plnk")); !os.IsNotExist(err) {
			t.Errorf("the store is left: %v", err)
		}
	}
	runCases(t, []layerCase{
		{
			name: "two names", layer: with(Hardlink("bin/a", ".wh..wh.plnk/123.456"), Hardlink("bin/b", "/.wh..wh.plnk/123.456")),
			strict: true, notes: "aufs-metadata=4", merged: "bin/\nbin/a: one\nbin/b: one", check: oneFile,
		},
		{
			name: "a name of each, and a name of a name", layer: with(Hardlink("a", ".wh..wh.plnk/123.456"), Hardlink("b", "./.wh..wh.plnk/7.8"), Hardlink("c", "b")),
			strict: true, notes: "aufs-metadata=4", merged: "a: one\nb: two\nc: two",
		},
		{name: "no names", layer: with(), strict: true, notes: "aufs-metadata=4", merged: "", implied: "."},
		{
			name: "over what lower layers have", lower: lowerTree, layer: with(Hardlink("a", ".wh..wh.plnk/7.8"), File("d/.wh.x", "")),
			strict: true, notes: "aufs-metadata=4", whiteouts: "d", merged: "a: two\nd/\nd/old: old\nd/sub/\nd/sub/old: old",
		},
		{
			name: "without an entry for the store", layer: entries{one, Hardlink("a", ".wh..wh.plnk/123.456")},
			strict: true, notes: "aufs-metadata=1", merged: "a: one",
		},
		{
			name: "a link of the store itself", layer: entries{File("a", "a"), Hardlink(".wh..wh.plnk/1.2", "a"), Symlink(".wh..wh.plnk/3.4", "a")},
			strict: true, notes: "aufs-metadata=2", merged: "a: a",
		},
		{
			name: "twice in the store", layer: entries{one, Hardlink("a", ".wh..wh.plnk/123.456"), File(".wh..wh.plnk/123.456", "new"), Hardlink("b", ".wh..wh.plnk/123.456")},
			strict: true, notes: "aufs-metadata=2 duplicate-path=1", merged: "a: one\nb: new",
		},
		{name: "what the store does not have", layer: with(Hardlink("a", ".wh..wh.plnk/9.9")), fails: unpack.ErrMalformed, says: `a hardlink to ".wh..wh.plnk/9.9", which is not in this layer`},
		{name: "no store", lower: lowerTree, layer: entries{Hardlink("b", ".wh..wh.plnk/123.456")}, fails: unpack.ErrMalformed, says: "which is not in this layer"},
		{name: "the store itself", layer: with(Hardlink("a", ".wh..wh.plnk")), fails: unpack.ErrMalformed, says: "no name in a layer"},
		{name: "a symlink into no store", layer: entries{Symlink("s", ".wh..wh.plnk"), File("s/x", "x")}, fails: unpack.ErrMalformed, says: ".wh."},
		{
			name: "a symlink into the store", layer: append(entries{Symlink("s", ".wh..wh.plnk")}, one, File("s/x", "x"), Hardlink("a", "s/123.456")),
			strict: true, notes: "aufs-metadata=1", merged: "a: one\ns -> .wh..wh.plnk",
		},
		{
			name: "a store further down", layer: entries{File("d/.wh..wh.plnk/1.2", "x"), File("a", "a")},
			strict: true, notes: "aufs-metadata=1", merged: "a: a",
		},
	})
}
