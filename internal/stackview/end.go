// SPDX-License-Identifier: Apache-2.0

package stackview

import (
	"maps"
	"slices"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/layer"
)

// End completes the layer after the last entry of its journal. f are the facts that
// unpack found; a layer that was recorded from entries of a tar needs none.
func (l *Layer) End(f layer.Facts) error {
	if f.RootOpaque {
		l.root.entry.Opaque = layer.Marked
	}
	for _, implied := range f.Implied {
		if dir := l.find(string(implied.Path)); implied.Bare && dir.isDir() {
			dir.bare = true
		}
	}
	for _, link := range f.ForeignLinks {
		parent, name := entryname.Split(string(link.Path))
		dir, err := l.dir(parent, false)
		if err != nil {
			return err
		}
		e := layer.Entry{Path: string(link.Path), Type: layer.Hardlink, Linkname: string(link.Target)}
		if err := l.add(dir, name, e); err != nil {
			return err
		}
	}
	assignPaths(l.root, ".")
	return nil
}

// assignPaths gives each file the path of a name that it still has. The path of its
// journal entry may belong to another file by now, or to none.
func assignPaths(dir *node, path string) {
	for _, name := range slices.Sorted(maps.Keys(dir.children)) {
		child, at := dir.children[name], entryname.Join(path, name)
		if child.isDir() {
			assignPaths(child, at)
		} else if child.names != pathAssigned {
			if child.entry.Path != at {
				child.came, child.entry.Path = child.entry.Path, at
			}
			child.names = pathAssigned
		}
	}
}
