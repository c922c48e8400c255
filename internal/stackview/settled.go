// SPDX-License-Identifier: Apache-2.0

package stackview

import (
	"strings"

	"github.com/layerctl/layerctl/layer"
)

// Settled reports whether layers below these cannot change what an image shows at
// path and below it: these layers, the topmost first, have a file there, or a
// directory that hides all lower ones, or they hide the path. The attributes of the
// parents of path may still be those of a lower layer.
func Settled(path string, layers ...*Layer) bool {
	for _, l := range layers {
		if settles(l.root, path) {
			return true
		}
	}
	return false
}

func settles(n *node, path string) bool {
	opaque := n.entry.Opaque != layer.Transparent
	if path != "." {
		for name := range strings.SplitSeq(path, "/") {
			next := n.children[name]
			switch {
			case next == nil:
				return opaque
			case next.entry.Type == layer.Hardlink: // into a lower layer
				return false
			case !next.isDir():
				return true
			}
			n, opaque = next, opaque || next.entry.Opaque != layer.Transparent
		}
	}
	// An opaque directory without an entry has the attributes of a lower layer,
	// unless it was replaced.
	return opaque && !(n.entry.Implied && n.entry.Opaque == layer.Marked) && !leadsLower(n)
}

// leadsLower reports whether something in a directory is a hardlink into a
// lower layer.
func leadsLower(dir *node) bool {
	for _, child := range dir.children {
		if child.entry.Type == layer.Hardlink || child.isDir() && leadsLower(child) {
			return true
		}
	}
	return false
}
