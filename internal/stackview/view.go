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
	upper bool             // there are lower layers that are not known
	first map[*node]string // of the files that have several names
}

// File is one path of a view.
type File struct {
	// Entry has the path in the view and the attributes that it shows there.
	// Its type is never Hardlink or one of the marks: every name of a file
	// comes with the attributes of the file. Implied is true for a directory
	// that no layer has an entry for.
	layer.Entry
	// Layer is the place, from 0, of the layer that has the content, or that
	// says the attributes of a directory; -1 where none does.
	Layer int
	// From is a path that the file has in that layer, Came the one that its
	// entry in the journal had: that may be another file's by now.
	From, Came string
	// Names is how many names in the view the file has: 1 for a directory.
	Names int
	// Link is the first of them in the order of [View.All]; empty where the
	// file has one name, and at the first name itself.
	Link string
}

// All yields every path, the root first, a directory before what is in it, and
// what is in a directory sorted by name, byte for byte.
func (v *View) All() iter.Seq[File] { return v.Below(".") }

// Below yields dir, a path without symlinks, and all that is in it, in the
// order of [View.All]; nothing where there is no such path.
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

// In yields what a directory holds, and not what is further below; dir is a
// path without symlinks.
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

// Lookup is what the view has at path. No symlink is followed.
func (v *View) Lookup(path string) (File, bool) {
	n := find(v.root, path)
	if n == nil {
		return File{}, false
	}
	return v.file(path, n), true
}

// Resolve is [View.Lookup] for a path as a process in the root filesystem would
// give it: absolute or not, with "." and "..", the symlinks of its parents
// followed, at most 40, and its own too where follow is true. The path of the
// answer is the one without symlinks.
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

// names are the parts of a path, the last one first.
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
