// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/unpack"
)

// lowerTree is what the whiteouts of these tests meet.
var lowerTree = entries{
	File("a", "old a"), Dir("d/", 0o755), File("d/old", "old"), File("d/x", "x"), Dir("d/sub/", 0o755), File("d/sub/old", "old"),
}

const lowerView = "a: old a\nd/\nd/old: old\nd/sub/\nd/sub/old: old\nd/x: x"

func TestWhiteoutNames(t *testing.T) {
	var cases []layerCase
	for _, name := range []string{".wh...", ".wh..", ".wh.", "d/.wh...", "d/.wh..", "d/.wh."} {
		cases = append(cases, layerCase{name: "the name " + name, layer: entries{File(name, "")}, fails: unpack.ErrMalformed, says: "no name"})
	}
	hardlink, symlink := Hardlink(".wh.a", "b"), Symlink(".wh.a", "b")
	runCases(t, append(cases, []layerCase{
		{name: "a plain one", lower: lowerTree, layer: entries{File("d/.wh.x", "")}, whiteouts: "d", implied: ". d,bare", merged: "a: old a\nd/\nd/old: old\nd/sub/\nd/sub/old: old"},
		{name: "for a directory", lower: lowerTree, layer: entries{File(".wh.d", "")}, whiteouts: ".", merged: "a: old a"},
		{name: "as a directory", layer: entries{Dir(".wh.d/", 0o755), File(".wh.d/x", "")}, fails: unpack.ErrMalformed, says: ".wh."},
		{name: "as a directory in a path", layer: entries{File("x/.wh.d/x", "")}, fails: unpack.ErrMalformed, says: ".wh."},
		{name: "of a name that begins with .wh. itself", layer: entries{File(".wh..wh.x", "")}, fails: unpack.ErrMalformed, says: ".wh..wh."},
		{name: "as a device", layer: entries{Entry{Header: tar.Header{Name: ".wh.a", Typeflag: tar.TypeChar}}}, fails: unpack.ErrMalformed, says: "type"},
		{name: "as a symlink", lower: lowerTree, layer: entries{symlink, Dir("d/", 0o755)}, whiteouts: ".", strict: true, notes: "whiteout-form=1", merged: lowerView[len("a: old a\n"):]},
		{name: "as a hardlink", lower: lowerTree, layer: entries{hardlink}, whiteouts: ".", strict: true, notes: "whiteout-form=1", merged: lowerView[len("a: old a\n"):]},
		{name: "with content", lower: lowerTree, layer: entries{File(".wh.a", "content")}, whiteouts: ".", strict: true, notes: "whiteout-form=1", merged: lowerView[len("a: old a\n"):]},
		{
			name: "of the AUFS driver", lower: lowerTree,
			layer:  entries{File(".wh..wh.aufs", ""), Dir(".wh..wh.plnk/", 0o700), File(".wh..wh.plnk/1.2", "x"), Dir(".wh..wh.orph/", 0o700)},
			strict: true, notes: "aufs-metadata=4", merged: lowerView,
		},
		{name: "unknown ones like those of AUFS", layer: entries{File(".wh..wh.foo", "")}, fails: unpack.ErrMalformed, says: ".wh..wh."},
	}...))
}

func TestWhiteoutsByMeaning(t *testing.T) {
	opq := File("d/.wh..wh..opq", "")
	fresh := File("d/new", "new")
	wh := File(".wh.d", "")
	dir := Dir("d/", 0o755)
	const replaced = "a: old a\nd/\nd/new: new"
	runCases(t, []layerCase{
		{name: "a file, then its whiteout", lower: lowerTree, layer: entries{File("a", "new a"), File(".wh.a", "")}, merged: "a: new a\n" + lowerView[len("a: old a\n"):]},
		{name: "a whiteout, then the file", lower: lowerTree, layer: entries{File(".wh.a", ""), File("a", "new a")}, merged: "a: new a\n" + lowerView[len("a: old a\n"):]},
		{name: "a whiteout, then a symlink over the directory", lower: lowerTree, layer: entries{wh, Symlink("d", "a")}, merged: "a: old a\nd -> a"},
		{name: "a whiteout, then the directory", lower: lowerTree, layer: entries{wh, dir, fresh}, implied: ".", merged: replaced},
		{name: "a whiteout, then a file in the directory", lower: lowerTree, layer: entries{wh, fresh}, implied: ". d,x", merged: replaced},
		{name: "the directory, then its whiteout", lower: lowerTree, layer: entries{dir, fresh, wh}, implied: ".", merged: replaced},
		{name: "a file in the directory, then its whiteout, then the directory", lower: lowerTree, layer: entries{fresh, wh, dir}, implied: ".", merged: replaced},
		{name: "a whiteout, then one below it", lower: lowerTree, layer: entries{wh, File("d/.wh.x", "")}, whiteouts: ".", implied: ".", merged: "a: old a"},
		{name: "a whiteout, then one above it", lower: lowerTree, layer: entries{File("d/sub/.wh.old", ""), File("d/.wh.x", ""), wh}, whiteouts: ".", implied: ".", merged: "a: old a"},
		{name: "a whiteout, one below it, and a file", lower: lowerTree, layer: entries{File("d/.wh.x", ""), wh, fresh}, implied: ". d,x", merged: replaced},
		{name: "a whiteout twice", lower: lowerTree, layer: entries{wh, wh, File(".wh.a", ""), File(".wh.a", "")}, whiteouts: ".", merged: ""},
		{name: "a directory that replaced a file of the same layer", lower: lowerTree, layer: entries{File("d", "f"), dir}, notes: "duplicate-path=1", strict: true, merged: "a: old a\nd/"},
		{name: "an opaque mark first", lower: lowerTree, layer: entries{opq, dir, fresh}, implied: ".", merged: replaced},
		{name: "an opaque mark last", lower: lowerTree, layer: entries{dir, fresh, opq}, implied: ".", merged: replaced},
		{name: "an opaque mark without the directory", lower: lowerTree, layer: entries{opq}, implied: ". d,o", merged: "a: old a\nd/"},
		{name: "an opaque mark and a whiteout", lower: lowerTree, layer: entries{opq, wh, fresh}, implied: ". d,x", merged: replaced},
		{name: "an opaque mark after a whiteout", lower: lowerTree, layer: entries{wh, opq, fresh}, implied: ". d,x", merged: replaced},
		{name: "an opaque mark twice", lower: lowerTree, layer: entries{opq, fresh, opq}, implied: ". d,o", merged: replaced},
		{name: "a whiteout in an opaque directory", lower: lowerTree, layer: entries{opq, fresh, File("d/.wh.x", "")}, merged: replaced},
		{name: "a whiteout in a directory that becomes opaque", lower: lowerTree, layer: entries{File("d/.wh.x", ""), fresh, opq}, merged: replaced},
		{name: "a whiteout deep in an opaque directory", lower: lowerTree, layer: entries{opq, fresh, File("d/sub/.wh.old", "")}, implied: ". d,o", merged: replaced},
		{name: "a whiteout deep in a directory that becomes opaque", lower: lowerTree, layer: entries{File("d/sub/.wh.old", ""), fresh, opq}, implied: ". d,o", merged: replaced},
		{name: "a whiteout deep in a directory that is replaced", lower: lowerTree, layer: entries{File("d/sub/.wh.old", ""), File("d/sub/y", "y"), wh}, implied: ". d,x d/sub", merged: "a: old a\nd/\nd/sub/\nd/sub/y: y"},
		{name: "an opaque mark on a file", lower: lowerTree, layer: entries{File("a", ""), File("a/.wh..wh..opq", "")}, fails: unpack.ErrMalformed, says: "no directory"},
		{
			name: "a whiteout below a symlink", lower: lowerTree, layer: entries{Symlink("lnk", "d"), File("lnk/.wh.x", ""), File("lnk/.wh..wh..opq", "")},
			strict: true, notes: "whiteout-below-nondir=2", merged: lowerView + "\nlnk -> d",
		},
		{
			name: "a whiteout below a symlink to the host", layer: entries{Symlink("lnk", "CANARY"), File("lnk/.wh.keep", "")},
			strict: true, notes: "whiteout-below-nondir=1", merged: "-",
		},
		{
			name: "a whiteout below what becomes a symlink", lower: lowerTree, layer: entries{File("lnk/.wh.x", ""), Symlink("lnk", "d")},
			strict: true, notes: "duplicate-path=1", merged: lowerView + "\nlnk -> d",
		},
		{
			name: "a whiteout below a file", lower: lowerTree, layer: entries{File("d", "f"), File("d/.wh.x", "")},
			strict: true, notes: "whiteout-below-nondir=1", merged: "a: old a\nd: f",
		},
	})
}

func TestOpaqueRoot(t *testing.T) {
	root := func(want bool) func(*testing.T, string, unpack.Result) {
		return func(t *testing.T, dir string, r unpack.Result) {
			if got := r.RootOpaque; got != want {
				t.Errorf("RootOpaque = %v, want %v", got, want)
			}
			equal(t, "layer", view(t, dir), "new: new")
		}
	}
	// The kernel ignores a mark on the root, so the view is not looked at.
	runCases(t, []layerCase{
		{name: "the mark first", layer: entries{File(".wh..wh..opq", ""), File("new", "new"), File(".wh.a", "")}, check: root(true), implied: ".,o", merged: "-"},
		{name: "the mark last", layer: entries{File("new", "new"), File(".wh.a", ""), File("d/e/.wh.x", ""), File(".wh..wh..opq", "")}, check: root(true), implied: ".,o", merged: "-"},
		{name: "no mark", layer: entries{File("new", "new")}, check: root(false), merged: "new: new"},
	})
}

// What shows names where there is nothing to hide is recorded here and made
// good by the store when it puts the stack together.
func TestWhiteoutsOverNothing(t *testing.T) {
	runCases(t, []layerCase{
		{name: "in directories that no lower layer has", layer: entries{File("p/q/.wh.x", "")}, whiteouts: "p/q", implied: ". p,bare p/q,bare", merged: "-"},
		{name: "in a directory that the layer makes", layer: entries{Dir("p/", 0o700), File("p/.wh.x", "")}, whiteouts: "p", implied: ".", merged: "-"},
		{name: "and something real beside them", layer: entries{File("p/q/.wh.x", ""), File("p/r/f", "f")}, whiteouts: "p/q", implied: ". p p/q,bare p/r", merged: "-"},
		{name: "that something real replaces", layer: entries{File("p/.wh.x", ""), File("p/x", "x")}, whiteouts: "", implied: ". p", merged: "p/\np/x: x"},
		{name: "at the root of the lowest layer", layer: entries{File(".wh.x", "")}, whiteouts: ".", merged: ""},
	})
}

func TestSymlinkOfALowerLayerIsNotFollowed(t *testing.T) {
	runCases(t, []layerCase{{
		name: "overlay's meaning", lower: entries{Symlink("lib", "usr/lib"), File("usr/lib/libc.so", "c")},
		layer: entries{File("lib/y", "y")}, implied: ". lib", merged: "lib/\nlib/y: y\nusr/\nusr/lib/\nusr/lib/libc.so: c",
	}})
}

// A layer's directory must not depend on what else is unpacked, or when.
func TestLayersAreUnpackedAlike(t *testing.T) {
	blob := Gzip(Tar(append(entries{
		File(".wh.d", ""), File("d/new", "n"), File("e/f/.wh.x", ""), Dir("ro/", 0o555), File("ro/x", "x"), Hardlink("ro/y", "ro/x"),
	}, lowerTree[0])...))
	want := ""
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			dir := tempDir(t)
			if _, err := unpackInto(t, dir, blob, unpack.Source{}, unpack.Options{}); err != nil {
				t.Fatal(err)
			}
			got := fingerprint(t, dir)
			if want == "" {
				want = got
			}
			equal(t, "tree", got, want)
		})
	}
	t.Run("at once", func(t *testing.T) {
		dirs := make([]string, 8)
		errs := make(chan error, len(dirs))
		for i := range dirs {
			dirs[i] = tempDir(t)
			go func() { errs <- unpackQuietly(t, dirs[i], blob) }()
		}
		for range dirs {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		for _, dir := range dirs {
			equal(t, "tree", fingerprint(t, dir), want)
		}
	})
}

func TestABlobInAnyPieces(t *testing.T) {
	tar := Tar(append(lowerTree, File("large", string(bytes.Repeat([]byte("large"), 100_000))))...)
	for name, blob := range map[string][]byte{"gzip": Gzip(tar), "tar": tar} {
		t.Run(name, func(t *testing.T) {
			dir := tempDir(t)
			if err := unpackPieces(t, dir, blob, 7); err != nil {
				t.Fatal(err)
			}
			if got, want := len(describe(dir+"/large", "")), 500_002; got != want {
				t.Errorf("large has %d bytes, want %d", got, want)
			}
		})
	}
}
