// SPDX-License-Identifier: Apache-2.0

package stackview

import (
	"fmt"
	"strings"
	"time"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/layer"
)

// node is a file or a directory, of a layer or of a view. Several names of one
// file share it.
type node struct {
	entry    layer.Entry // Path is a path in its layer
	came     string      // the path of its journal entry if that is not entry.Path, else ""
	layer    *Layer      // nil for a directory of a view that is implied in all layers
	children map[string]*node
	bare     bool  // a directory that exists only to hold whiteouts
	names    int32 // how many names it has in the view; pathAssigned before there is one
}

// pathAssigned marks, in node.names, a file that [assignPaths] has visited.
const pathAssigned = -1

func (n *node) isDir() bool { return n != nil && n.entry.Type == layer.Directory }

// impliedDir returns a directory without an entry.
func impliedDir(path string) *node {
	return &node{entry: layer.Entry{
		Path: path, Type: layer.Directory, Mode: 0o755, ModTime: time.Unix(0, 0), Implied: true,
	}}
}

func (n *node) put(name string, child *node) {
	if n.children == nil {
		n.children = make(map[string]*node)
	}
	n.children[name] = child
}

// Layer has the paths of one layer. It is merged into one [View] at most.
type Layer struct {
	stack *Stack
	root  *node
	index int // in the view, from 0 for the lowest layer
}

// Layer returns a new layer, without entries.
func (s *Stack) Layer() *Layer {
	l := &Layer{stack: s, root: impliedDir(".")}
	l.root.layer = l
	return l
}

// Record takes the next entry of the layer's journal. Its error is
// [ErrMalformed] for an entry that contradicts those before it, or [ErrLimit].
func (l *Layer) Record(e layer.Entry) error {
	if e.Path == "." {
		return l.recordRoot(e)
	}
	switch e.Type {
	case layer.Removed:
		l.remove(e.Path)
		return nil
	case layer.OpaqueMark:
		dir, err := l.dir(e.Path, false)
		if err == nil {
			dir.entry.Opaque = max(dir.entry.Opaque, e.Opaque)
		}
		return err
	}
	parent, name := entryname.Split(e.Path)
	dir, err := l.dir(parent, e.Type == layer.Whiteout)
	if err != nil {
		return err
	}
	switch e.Type {
	case layer.Whiteout:
		return l.whiteout(dir, name, e)
	case layer.Directory:
		return l.directory(dir, name, e)
	case layer.Hardlink:
		if target := l.find(e.Linkname); target != nil && !target.isDir() && target.entry.Type != layer.Whiteout {
			dir.put(name, target)
			return l.stack.take(int64(nodeBytes + len(e.Path)))
		}
	}
	return l.add(dir, name, e)
}

func (l *Layer) recordRoot(e layer.Entry) error {
	switch e.Type {
	case layer.OpaqueMark:
		l.root.entry.Opaque = e.Opaque
		return nil
	case layer.Directory:
		l.describe(l.root, e)
		return l.stack.charge(&e)
	}
	return fmt.Errorf("%w: the root is no directory", ErrMalformed)
}

// describe gives a directory the attributes of its entry. A directory that is opaque
// stays opaque.
func (l *Layer) describe(dir *node, e layer.Entry) {
	e.Opaque = max(e.Opaque, dir.entry.Opaque)
	dir.entry, dir.bare = e, dir.bare && e.Implied
}

func (l *Layer) add(dir *node, name string, e layer.Entry) error {
	dir.put(name, &node{entry: e, layer: l})
	return l.stack.charge(&e)
}

// whiteout hides what lower layers have at a name. A file that this layer has there
// hides it already; a directory does once it is replaced.
func (l *Layer) whiteout(dir *node, name string, e layer.Entry) error {
	there := dir.children[name]
	switch {
	case there == nil || there.isDir() && there.bare:
		return l.add(dir, name, e)
	case there.isDir():
		there.entry.Opaque = layer.Replaced
	}
	return nil
}

func (l *Layer) directory(dir *node, name string, e layer.Entry) error {
	there := dir.children[name]
	if there.isDir() {
		l.describe(there, e)
		return l.stack.charge(&e)
	}
	if there != nil { // a file or a whiteout, which has hidden any lower directory
		e.Opaque = layer.Replaced
	}
	return l.add(dir, name, e)
}

// dir finds a directory of the layer. It adds missing directories as implied ones;
// bare is true if the caller adds a whiteout only.
func (l *Layer) dir(path string, bare bool) (*node, error) {
	n := l.root
	if path == "." {
		return n, nil
	}
	for end := 0; end < len(path); end++ {
		start := end
		for end < len(path) && path[end] != '/' {
			end++
		}
		next := n.children[path[start:end]]
		if next != nil && !next.isDir() && next.entry.Type != layer.Whiteout {
			return nil, fmt.Errorf("%w: %.200q lies below %.200q, which is no directory", ErrMalformed, path, path[:end])
		}
		if !next.isDir() {
			made := impliedDir(path[:end])
			made.layer, made.bare = l, bare
			if next != nil {
				made.entry.Opaque, made.bare = layer.Replaced, false
			}
			n.put(path[start:end], made)
			if err := l.stack.charge(&made.entry); err != nil {
				return nil, err
			}
			next = made
		}
		next.bare = next.bare && bare
		n = next
	}
	return n, nil
}

func (l *Layer) find(path string) *node { return find(l.root, path) }

// find returns what a tree has at path, or nil. It follows no symlink.
func find(n *node, path string) *node {
	if path == "." {
		return n
	}
	for name := range strings.SplitSeq(path, "/") {
		if n == nil {
			return nil
		}
		n = n.children[name]
	}
	return n
}

func (l *Layer) remove(path string) {
	parent, name := entryname.Split(path)
	if dir := l.find(parent); dir != nil {
		delete(dir.children, name)
	}
}
