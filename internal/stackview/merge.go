// SPDX-License-Identifier: Apache-2.0

package stackview

import (
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/layer"
)

// Merge merges the layers, the lowest first. A layer that the image has several times
// is given as often. [Layer.End] must have been called for each; do not use them any
// more. The error is [ErrMalformed] if no lower layer has a file at the target of a
// hard link, or [ErrLimit].
func (s *Stack) Merge(layers ...*Layer) (*View, error) {
	return s.merge(&View{stack: s, root: impliedDir(".")}, layers)
}

// MergeUpper is [Stack.Merge] for the upper layers of an image whose lower layers are
// not known. A path that is [Settled] is as in the whole image. A hard link to a file
// that only an unknown layer can have is left out.
func (s *Stack) MergeUpper(layers ...*Layer) (*View, error) {
	return s.merge(&View{stack: s, root: impliedDir("."), upper: true}, layers)
}

func (s *Stack) merge(v *View, layers []*Layer) (*View, error) {
	for i, l := range layers {
		l.index = i
		if err := v.apply(l); err != nil {
			return nil, fmt.Errorf("merge layer %d/%d: %w", i+1, len(layers), err)
		}
	}
	v.group()
	return v, nil
}

// apply merges one layer on top of those that were merged before.
func (v *View) apply(l *Layer) error {
	foreign := map[*node]*node{}
	if l.root.entry.Opaque != layer.Transparent {
		v.root = impliedDir(".")
	} else if err := v.resolveForeign(l.root, foreign); err != nil {
		return err
	}
	return v.merge(v.root, l.root, foreign)
}

// resolveForeign finds the targets of the layer's links into lower layers, before
// the layer itself is merged.
func (v *View) resolveForeign(dir *node, found map[*node]*node) error {
	for _, child := range dir.children {
		if child.isDir() {
			if err := v.resolveForeign(child, found); err != nil {
				return err
			}
			continue
		}
		if child.entry.Type != layer.Hardlink {
			continue
		}
		_, target := v.resolve(child.entry.Linkname, false)
		if v.upper && (target == nil || target.isDir()) {
			continue
		}
		if target == nil || target.isDir() {
			return notBelow(child.entry)
		}
		found[child] = target
	}
	return nil
}

// merge merges a directory of a layer into the view's directory at the same path.
func (v *View) merge(into, from *node, foreign map[*node]*node) error {
	if !from.entry.Implied {
		into.entry, into.layer = from.entry, from.layer
	}
	if from.entry.Opaque != layer.Transparent {
		into.children = nil
	}
	for name, child := range from.children {
		switch {
		case child.isDir():
			if err := v.mergeDir(into, name, child, foreign); err != nil {
				return err
			}
		case child.entry.Type == layer.Whiteout:
			delete(into.children, name)
		case child.entry.Type == layer.Hardlink:
			if foreign[child] == nil && v.upper {
				delete(into.children, name)
				continue
			}
			if foreign[child] == nil {
				return fmt.Errorf("%w: %.200q is a hardlink to %.200q, which the layer hides", ErrMalformed, child.entry.Path, child.entry.Linkname)
			}
			into.put(name, foreign[child])
		default:
			into.put(name, child)
		}
	}
	return nil
}

func (v *View) mergeDir(into *node, name string, child *node, foreign map[*node]*node) error {
	there := into.children[name]
	if !there.isDir() && child.bare {
		return nil // a whiteout below a file, or below nothing, deletes nothing
	}
	if !there.isDir() || child.entry.Opaque == layer.Replaced {
		there = impliedDir(child.entry.Path)
		if err := v.stack.charge(&there.entry); err != nil {
			return err
		}
		into.put(name, there)
	}
	return v.merge(there, child, foreign)
}

// group counts the names of each file, and finds the first name of files that have
// several.
func (v *View) group() {
	v.first = map[*node]string{}
	for _, n := range v.walk(".", v.root) {
		if n.names = max(n.names, 0) + 1; n.names == 2 {
			v.first[n] = ""
		}
	}
	if len(v.first) == 0 {
		return
	}
	for path, n := range v.walk(".", v.root) {
		if first, several := v.first[n]; several && first == "" {
			v.first[n] = path
		}
	}
}

const maxSymlinks = 40 // the kernel's MAXSYMLINKS

// resolve finds a path as if the view were the root directory. It follows symlinks
// among the parents, and at the end of the path if last is true. It returns the path
// without symlinks, and nil if there is nothing.
func (v *View) resolve(path string, last bool) (string, *node) {
	todo := names(path)
	at, n, links := []string{}, []*node{v.root}, 0
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(at) > 0 { // the root's parent is the root
				at, n = at[:len(at)-1], n[:len(n)-1]
			}
			continue
		}
		next := n[len(n)-1].children[name]
		if next == nil {
			return "", nil
		}
		if next.entry.Type == layer.Symlink && (last || len(todo) > 0) {
			if links++; links > maxSymlinks {
				return "", nil
			}
			if strings.HasPrefix(next.entry.Linkname, "/") {
				at, n = at[:0], n[:1]
			}
			todo = append(todo, names(next.entry.Linkname)...)
			continue
		}
		if !next.isDir() && len(todo) > 0 {
			return "", nil
		}
		at, n = append(at, name), append(n, next)
	}
	return joined(at), n[len(n)-1]
}
