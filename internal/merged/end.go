// SPDX-License-Identifier: Apache-2.0

package merged

import (
	"maps"
	"slices"

	"github.com/layerctl/layerctl/internal/tree"
)

// Link is a hardlink whose target is not in its own layer.
type Link struct{ Path, Target string }

// Facts are what a layer's record says and its journal does not.
type Facts struct {
	// RootOpaque is true where the layer hides all layers below it.
	RootOpaque bool
	// Foreign are the hardlinks into lower layers.
	Foreign []Link
	// Bare are the directories that are there for whiteouts only.
	Bare []string
}

// End says that the journal is complete.
func (l *Layer) End(f Facts) error {
	if f.RootOpaque {
		l.root.entry.Opaque = tree.Marked
	}
	for _, path := range f.Bare {
		if dir := l.find(path); dir.isDir() {
			dir.bare = true
		}
	}
	for _, link := range f.Foreign {
		parent, name := split(link.Path)
		dir, err := l.dir(parent, false)
		if err != nil {
			return err
		}
		e := tree.Entry{Path: link.Path, Type: tree.Hardlink, Linkname: link.Target}
		if err := l.add(dir, name, e); err != nil {
			return err
		}
	}
	settle(l.root, ".")
	return nil
}

// settle gives each file the path of a name that it still has: the one that it
// came by may be another file's by now.
func settle(dir *node, path string) {
	for _, name := range slices.Sorted(maps.Keys(dir.children)) {
		child, at := dir.children[name], join(path, name)
		if child.isDir() {
			settle(child, at)
		} else if child.names != settled {
			if child.entry.Path != at {
				child.came, child.entry.Path = child.entry.Path, at
			}
			child.names = settled
		}
	}
}
