// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
)

// makeOptions say how a tree is made.
type makeOptions struct {
	contents  []content // of the layers, the lowest first
	choice    *Choice
	strip     int  // how many leading components each path loses
	sameOwner bool // each file has its owner of the image
	noDevices bool
	caller    caller           // owns the files if sameOwner is false
	leftOut   func(key string) // is called for each thing that cannot be made here
}

// Counts says how many paths were made. Links are further names of files, Nodes are
// devices and FIFOs. Bytes are those of the regular files, each counted once.
type Counts struct {
	Files, Directories, Symlinks, Links, Nodes int64
	Bytes                                      int64
}

// tree is a tree whose directories do not have their attributes yet: until all files
// are in place only the caller can enter them.
type tree struct {
	counts Counts
	maker  *maker
	dirs   []madeDir
}

type madeDir struct{ path, source string } // in the tree, and in the view

type maker struct {
	o     makeOptions
	view  *stackview.View
	root  *os.File
	tree  *tree
	made  map[string]int    // the index in tree.dirs of each directory of the tree
	first map[string]string // the first name in the tree of a file with several names, by its path in the view
	path  string            // of dir
	dir   *os.File          // the directory that was entered last, nil for none
}

// makeTree makes the wanted paths of the view in root, an empty directory. If a
// wanted pattern matches nothing it makes nothing and returns [errNoMatch].
func makeTree(ctx context.Context, root *os.File, view *stackview.View, o makeOptions) (_ *tree, err error) {
	if err := o.choice.check(paths(view)); err != nil {
		return nil, err
	}
	m := &maker{o: o, view: view, root: root, tree: &tree{}, made: map[string]int{}, first: map[string]string{}}
	m.tree.maker = m
	m.noteDir(".", ".")
	defer func() { err = errors.Join(err, m.leave()) }()
	for f := range view.All() {
		if !o.choice.has(f.Path) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := durable.Fault(ctx, "make"); err != nil {
			return nil, err
		}
		if err := m.makePath(f); err != nil {
			return nil, err
		}
	}
	return m.tree, nil
}

func paths(view *stackview.View) iter.Seq[string] {
	return func(yield func(string) bool) {
		for f := range view.All() {
			if !yield(f.Path) {
				return
			}
		}
	}
}

// strip returns where a path of the view is in the tree; "" if it is left out.
func (m *maker) strip(p string) string {
	for range m.o.strip {
		_, p, _ = strings.Cut(p, "/")
	}
	return p
}

func (m *maker) makePath(f stackview.File) error {
	to := m.strip(f.Path)
	if f.Path == "." || to == "" {
		return nil
	}
	if f.Type == layer.Directory {
		return m.mkdir(to, f.Path)
	}
	dir, err := m.enter(path.Dir(to), path.Dir(f.Path))
	if err != nil {
		return err
	}
	name := path.Base(to)
	file := f.Path // the first of the file's names
	if f.Link != "" {
		file = f.Link
	}
	if first, ok := m.first[file]; ok && f.Names > 1 {
		return m.link(dir, name, first, to)
	}
	if err := m.clear(dir, name); err != nil {
		return err
	}
	made, err := m.o.contents[f.Layer].put(m, dir, name, f)
	if err != nil || !made {
		return err
	}
	if f.Names > 1 {
		m.first[file] = to
	}
	m.count(f)
	return nil
}

func (m *maker) count(f stackview.File) {
	c := &m.tree.counts
	switch f.Type {
	case layer.Regular:
		c.Files++
		c.Bytes += f.Size
	case layer.Symlink:
		c.Symlinks++
	default:
		c.Nodes++
	}
}

// clear removes what an earlier path has made at name. That is possible only where
// two paths become one because both lose components: the later one wins, as with tar.
func (m *maker) clear(dir *os.File, name string) error {
	if m.o.strip == 0 {
		return nil
	}
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil && err != unix.ENOENT {
		return fmt.Errorf("make %.200q: a directory has that path too, once components are stripped: %w", name, err)
	}
	return nil
}

func (m *maker) link(dir *os.File, name, first, to string) error {
	from, err := fsat.Find(m.root, path.Dir(first))
	if err != nil {
		return err
	}
	defer from.Close()
	if err := m.clear(dir, name); err != nil {
		return err
	}
	if err := unix.Linkat(int(from.Fd()), path.Base(first), int(dir.Fd()), name, 0); err != nil {
		return &os.LinkError{Op: "link", Old: first, New: to, Err: err}
	}
	m.tree.counts.Links++
	return nil
}

// enter opens a directory of the tree, and makes it if it is missing; source is its
// path in the view. The directory stays open until the next one is entered.
func (m *maker) enter(to, source string) (*os.File, error) {
	if m.dir != nil && m.path == to {
		return m.dir, nil
	}
	if err := m.leave(); err != nil {
		return nil, err
	}
	if err := m.mkdir(to, source); err != nil {
		return nil, err
	}
	dir, err := fsat.Find(m.root, to)
	m.path, m.dir = to, dir
	return dir, err
}

func (m *maker) leave() error {
	if m.dir == nil {
		return nil
	}
	dir := m.dir
	m.dir = nil
	return dir.Close()
}

// mkdir makes a directory and its missing parents; source is its path in the view.
// For a directory that exists mkdir only changes source: as components are stripped,
// two paths can become one directory, which gets the attributes of the later path.
func (m *maker) mkdir(to, source string) error {
	if i, ok := m.made[to]; ok {
		if to != "." {
			m.tree.dirs[i].source = source
		}
		return nil
	}
	if err := m.mkdir(path.Dir(to), path.Dir(source)); err != nil {
		return err
	}
	dir, err := fsat.Find(m.root, path.Dir(to))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Mkdirat(int(dir.Fd()), path.Base(to), 0o700); err != nil {
		return &os.PathError{Op: "mkdir", Path: to, Err: err}
	}
	m.noteDir(to, source)
	m.tree.counts.Directories++
	return nil
}

func (m *maker) noteDir(to, source string) {
	m.made[to] = len(m.tree.dirs)
	m.tree.dirs = append(m.tree.dirs, madeDir{to, source})
}

// finish gives the directories below root their attributes, the deeper ones first.
// root is where the tree is now.
func (t *tree) finish(ctx context.Context, root *os.File) error {
	for _, d := range slices.Backward(t.dirs[1:]) {
		if err := durable.Fault(ctx, "finish"); err != nil {
			return err
		}
		if err := t.finishDir(root, d); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) finishDir(root *os.File, d madeDir) error {
	f, ok := t.maker.view.Lookup(d.source)
	if !ok {
		return fmt.Errorf("flatten: %.200q is not in the view", d.source)
	}
	dir, err := fsat.Find(root, d.path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return t.maker.describe(dir, f.Entry)
}
