// SPDX-License-Identifier: Apache-2.0

package stackview

import (
	"errors"
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/layer"
)

// ErrLinks says that a path leads through more symbolic links than the kernel
// follows.
var ErrLinks = errors.New("too many levels of symbolic links")

// Found is what the upper layers of a stack say of a path.
type Found struct {
	// Settled is true where no lower layer can say anything else.
	Settled bool
	// Exists is true where there is something, and File says what. Lower layers
	// may have a say in a directory's attributes; Names and Link are not filled.
	Exists bool
	File
	// Way is the path as far as it is known: without the symbolic links that
	// were met, and with the names that are still to come.
	Way string
}

// Search is [View.Resolve] while lower layers are missing: layers are the
// topmost ones, the topmost first, and whole where they are all. [File.Layer]
// counts as they do. The layers are only read; the last one may still be
// recorded.
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

// search is a path on its way down.
type search struct {
	layers []*Layer
	whole  bool
	follow bool
	todo   []string // names, the next one last
	above  []level  // where it has come to, from the root
	at     []string // the names of these
	links  int
}

// placed is what one layer has.
type placed struct {
	*node
	layer int
}

// level is one directory as the layers have it, the topmost first.
type level struct {
	nodes  []placed
	real   bool // it is not there for whiteouts only
	closed bool // lower layers have nothing to say
}

// run returns where a file is, too.
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
			if len(s.todo) > 0 { // it is no directory, so there is nothing below it
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

// turn goes on where a symbolic link leads.
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

// way is the path from here on.
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

// foreign is the file that a link into lower layers means; any other is
// itself.
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

// child is what a directory has at a name: a directory, a file, or neither.
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
			dir.nodes = nil // they hold whiteouts only, which delete nothing below a file
			return dir, placed{child, n.layer}
		default:
			dir.closed = true
			return dir, file
		}
	}
	return dir, file
}

// file tells of a placed node at path.
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
