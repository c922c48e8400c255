// SPDX-License-Identifier: Apache-2.0

package stackview

import (
	"errors"
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/layer"
)

// ErrLinks says that a path leads through more than 40 symbolic links, the kernel's
// limit.
var ErrLinks = errors.New("too many levels of symbolic links")

// Found is what the upper layers of a stack say about a path.
type Found struct {
	// Settled is true if lower layers cannot change whether the path exists, nor
	// what is there.
	Settled bool
	// Exists is true if something is at the path; File describes it, without Names
	// and Link. The attributes of a directory may still be those of a lower layer.
	Exists bool
	File
	// Way is the path with the symbolic links resolved that the search has met so
	// far, and with the names that it has not reached.
	Way string
}

// Search is [View.Resolve] for a stack whose lower layers may be missing. layers are
// the upper layers, the topmost first; whole says that they are all. [File.Layer] is
// an index of layers. Search only reads them; the last one may still be incomplete.
//
// The errors are [ErrLinks], and [ErrMalformed] as [Stack.Merge] has it.
func Search(path string, follow, whole bool, layers ...*Layer) (Found, error) {
	found, _, err := newSearch(path, follow, whole, layers).run()
	return found, err
}

func newSearch(path string, follow, whole bool, layers []*Layer) *search {
	s := &search{layers: layers, whole: whole, todo: names(path), follow: follow}
	root := level{real: true}
	for i, l := range layers {
		root.nodes = append(root.nodes, placed{l.root, i})
		if l.root.entry.Opaque != layer.Transparent {
			root.closed = true
			break
		}
	}
	s.above = []level{root}
	return s
}

// search is one call of [Search] under way.
type search struct {
	layers []*Layer
	whole  bool
	follow bool
	todo   []string // the names that are left, the next one last
	above  []level  // the directories that were entered, from the root on
	at     []string // the names of above, without the root
	links  int      // how many symbolic links were followed
}

// placed is a node of one of the layers.
type placed struct {
	*node
	layer int // its index in search.layers
}

// level is one directory: the nodes that the layers have of it, the topmost first.
type level struct {
	nodes  []placed
	real   bool // a layer has it for more than whiteouts
	closed bool // lower layers cannot add to it
}

// run returns what [Search] does, and for a file also its node.
func (s *search) run() (Found, placed, error) {
	for len(s.todo) > 0 {
		name := s.todo[len(s.todo)-1]
		s.todo = s.todo[:len(s.todo)-1]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(s.at) > 0 { // the root's parent is the root
				s.at, s.above = s.at[:len(s.at)-1], s.above[:len(s.above)-1]
			}
			continue
		}
		dir, file := s.above[len(s.above)-1].child(name)
		if file.node == nil && len(dir.nodes) > 0 && dir.real {
			s.at, s.above = append(s.at, name), append(s.above, dir)
			continue
		}
		if file.node == nil {
			return Found{Settled: dir.closed || s.whole, Way: s.way(name)}, placed{}, nil
		}
		file, settled, err := s.foreign(file)
		if err != nil || !settled {
			return Found{Way: s.way(name)}, placed{}, err
		}
		if file.entry.Type != layer.Symlink || !s.follow && len(s.todo) == 0 {
			way := s.way(name)
			if len(s.todo) > 0 { // there is nothing below a file
				return Found{Settled: true, Way: way}, placed{}, nil
			}
			return Found{Settled: true, Exists: true, File: file.file(way), Way: way}, file, nil
		}
		if err := s.turn(file.entry.Linkname); err != nil {
			return Found{}, placed{}, err
		}
	}
	way := joined(s.at)
	dir := placed{impliedDir("."), -1}
	if nodes := s.above[len(s.above)-1].nodes; len(nodes) > 0 {
		dir = nodes[0]
	}
	return Found{Settled: true, Exists: true, File: dir.file(way), Way: way}, placed{}, nil
}

// turn continues the search at the target of a symbolic link.
func (s *search) turn(target string) error {
	if s.links++; s.links > maxSymlinks {
		return ErrLinks
	}
	if strings.HasPrefix(target, "/") {
		s.at, s.above = s.at[:0], s.above[:1]
	}
	s.todo = append(s.todo, names(target)...)
	return nil
}

// way returns [Found.Way] while name is the next name.
func (s *search) way(name string) string {
	at := append(append([]string{}, s.at...), name)
	for i := len(s.todo) - 1; i >= 0; i-- {
		switch part := s.todo[i]; part {
		case "", ".":
		case "..":
			at = at[:max(len(at)-1, 0)]
		default:
			at = append(at, part)
		}
	}
	return joined(at)
}

// foreign returns the file that a link into lower layers leads to. settled is false
// if only missing layers can tell. Any other file it returns as it is.
func (s *search) foreign(file placed) (_ placed, settled bool, err error) {
	if file.entry.Type != layer.Hardlink {
		return file, true, nil
	}
	link := file.entry
	found, target, err := newSearch(link.Linkname, false, s.whole, s.layers[file.layer+1:]).run()
	if err != nil || !found.Settled {
		return file, false, err
	}
	if target.node == nil {
		return file, false, notBelow(link)
	}
	target.layer += file.layer + 1
	return target, true, nil
}

// child returns what a directory has at a name: a directory, a file, or neither.
func (l level) child(name string) (dir level, file placed) {
	dir.closed = l.closed
	opaque := false
	for _, n := range l.nodes {
		child := n.children[name]
		switch {
		case child == nil:
			continue
		case child.isDir():
			if !opaque {
				dir.nodes = append(dir.nodes, placed{child, n.layer})
			}
			dir.real = dir.real || !child.bare
			opaque = opaque || child.entry.Opaque != layer.Transparent
			if opaque && dir.real {
				dir.closed = true
				return dir, file
			}
		case !dir.real && !opaque && child.entry.Type != layer.Whiteout:
			dir.nodes = nil // bare directories: whiteouts delete nothing below a file
			return dir, placed{child, n.layer}
		default:
			dir.closed = true
			return dir, file
		}
	}
	return dir, file
}

// file describes the node as the view's path.
func (p placed) file(path string) File {
	f := File{Entry: p.entry, Layer: p.layer, From: p.entry.Path, Came: p.came}
	if f.Came == "" {
		f.Came = f.From
	}
	f.Path, f.Opaque = path, layer.Transparent
	return f
}

func notBelow(link layer.Entry) error {
	return fmt.Errorf("%w: %.200q is a hardlink to %.200q, which no lower layer has as a file", ErrMalformed, link.Path, link.Linkname)
}
