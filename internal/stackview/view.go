// SPDX-License-Identifier: Apache-2.0

package stackview

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/layer"
)

// View is what the stack shows. It does not change, and is safe for use by
// several goroutines.
type View struct {
	stack *Stack
	root  *node
	upper bool             // the image has more layers below, which are not known
	first map[*node]string // the first name of each file with several names
}

// File is one path of a view.
type File struct {
	// Entry has the path in the view, and the attributes of the file. Its type is
	// never Hardlink, Whiteout or a mark of the journal: each name of a file has the
	// attributes of the file. Implied is true for a directory without an entry in
	// any layer.
	layer.Entry
	// Layer is the index, from 0 for the lowest, of the layer that has the file's
	// content or the directory's entry; -1 if none has.
	Layer int
	// From is a path of the file in that layer. Came is the path of its entry in the
	// journal, which another file of the layer may have by now.
	From, Came string
	// Names is how many names the file has in the view; 1 for a directory.
	Names int
	// Link is the first of the names in the order of [View.All]. It is empty at that
	// name itself, and for a file with one name.
	Link string
}

// All yields every path: the root first, a directory before its content, and the
// names in a directory sorted by their bytes.
func (v *View) All() iter.Seq[File] { return v.Below(".") }

// Below yields dir, a path without symlinks, and all paths below it in the order of
// [View.All]. It yields nothing if the view does not have dir.
func (v *View) Below(dir string) iter.Seq[File] {
	return func(yield func(File) bool) {
		n := find(v.root, dir)
		if n == nil {
			return
		}
		for path, n := range v.walk(dir, n) {
			if !yield(v.file(path, n)) {
				return
			}
		}
	}
}

// In yields the content of a directory, and nothing below that; dir is a path
// without symlinks.
func (v *View) In(dir string) iter.Seq[File] {
	return func(yield func(File) bool) {
		n := find(v.root, dir)
		if n == nil {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(n.children)) {
			if !yield(v.file(entryname.Join(dir, name), n.children[name])) {
				return
			}
		}
	}
}

// Lookup returns what the view has at path. It follows no symlink.
func (v *View) Lookup(path string) (File, bool) {
	n := find(v.root, path)
	if n == nil {
		return File{}, false
	}
	return v.file(path, n), true
}

// Resolve is [View.Lookup] for a path as a process in the root filesystem would give
// it: absolute or not, and with "." and "..". It follows symlinks, 40 at most, among
// the parents, and at the end of the path if follow is true. The answer has the path
// without symlinks.
func (v *View) Resolve(path string, follow bool) (File, bool) {
	at, n := v.resolve(path, follow)
	if n == nil {
		return File{}, false
	}
	return v.file(at, n), true
}

func (v *View) file(path string, n *node) File {
	f := File{Entry: n.entry, Layer: -1, From: n.entry.Path, Came: n.came, Names: int(n.names)}
	if f.Came == "" {
		f.Came = f.From
	}
	if n.layer != nil {
		f.Layer = n.layer.index
	}
	if first := v.first[n]; first != path {
		f.Link = first
	}
	f.Path, f.Opaque = path, layer.Transparent
	return f
}

func (v *View) walk(path string, n *node) iter.Seq2[string, *node] {
	return func(yield func(string, *node) bool) { walk(path, n, yield) }
}

func walk(path string, n *node, yield func(string, *node) bool) bool {
	if !yield(path, n) {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		if !walk(entryname.Join(path, name), n.children[name], yield) {
			return false
		}
	}
	return true
}

// names returns the parts of a path, the last one first.
func names(path string) []string {
	parts := strings.Split(path, "/")
	slices.Reverse(parts)
	return parts
}

func joined(parts []string) string {
	if len(parts) == 0 {
		return "."
	}
	return strings.Join(parts, "/")
}
