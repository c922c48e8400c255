// SPDX-License-Identifier: Apache-2.0

package fixlayer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/layer"
)

// kind is what a layer has at a path.
type kind byte

const (
	nothing kind = iota
	directory
	other // a file, or anything else that is neither a directory nor a whiteout
	whiteoutKind
)

// state is what one layer has at one path.
type state struct {
	kind   kind
	opaque bool // a directory that hides the content of lower ones
	cut    bool // a parent of the path hides what lower layers have there
}

// layerView reads one layer's directory path by path, and remembers what it found.
type layerView struct {
	Layer
	form    layer.Form
	implied map[string]layer.ImpliedDir
	foreign map[string]place // the targets of foreign links that were resolved
	states  map[string]state
}

// place is a path in one layer of a view.
type place struct {
	layer int
	path  string
}

// view is the stack as overlayfs merges it, the topmost layer first. To look up a path
// it reads the layers downwards until one hides those below.
type view []*layerView

func newLayerView(l Layer, form layer.Form) *layerView {
	lv := &layerView{Layer: l, form: form, implied: map[string]layer.ImpliedDir{}, foreign: map[string]place{}, states: map[string]state{}}
	for _, d := range l.Facts.Implied {
		lv.implied[string(d.Path)] = d
	}
	return lv
}

// at returns the layer's state at p. It reads the parents first: what they hide, they
// hide for everything below them.
func (l *layerView) at(p string) (state, error) {
	if st, ok := l.states[p]; ok {
		return st, nil
	}
	st, err := l.read(p)
	if err != nil {
		return st, fmt.Errorf("layer %s: %w", l.DiffID, err)
	}
	l.states[p] = st
	return st, nil
}

func (l *layerView) read(p string) (state, error) {
	if p == "." {
		return state{kind: directory}, nil // the stack has no layers below an opaque root
	}
	above, err := l.at(path.Dir(p))
	if err != nil {
		return state{}, err
	}
	st := state{cut: above.cut || above.opaque || above.kind == other || above.kind == whiteoutKind}
	if above.kind != directory {
		return st, nil
	}
	f, err := fsat.FindOwned(l.FS, p)
	if errors.Is(err, fs.ErrNotExist) {
		if _, ok := l.foreign[p]; ok {
			st.kind = other
		}
		return st, nil
	}
	if err != nil {
		return st, err
	}
	defer f.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return st, err
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		st.kind = directory
		err = l.readable(f, func() (err error) {
			st.opaque, err = lowerdir.IsOpaque(f, l.form)
			return err
		})
	default:
		st.kind = other
		// On disk a foreign link is a whiteout.
		if _, linked := l.foreign[p]; linked {
			return st, nil
		}
		var whiteout bool
		err = l.readable(f, func() (err error) {
			whiteout, err = lowerdir.IsWhiteout(f, stat, l.form)
			return err
		})
		if whiteout {
			st.kind = whiteoutKind
		}
	}
	return st, err
}

// readable calls do, which reads names in f or attributes of it. If f's mode forbids
// that, it calls do again with a mode that permits it.
func (l *layerView) readable(f *os.File, do func() error) error {
	err := do()
	if errors.Is(err, fs.ErrPermission) {
		err = fsat.WithRead(l.FS, f, func(uint32) error { return do() })
	}
	return err
}

// hides reports whether the layer hides what lower layers have at the path or, for a
// directory, in it.
func (st state) hides() bool {
	return st.cut || st.opaque || st.kind == other || st.kind == whiteoutKind
}

// find returns the index of the topmost layer with a file or directory at p, and which
// of both it is; nothing if the stack does not show p.
func (v view) find(p string) (int, kind, error) {
	for i, l := range v {
		st, err := l.at(p)
		if err != nil {
			return 0, nothing, err
		}
		if st.kind == directory || st.kind == other {
			return i, st.kind, nil
		}
		if st.hides() {
			break
		}
	}
	return 0, nothing, nil
}

// merged returns the indexes of the layers whose directories at p overlayfs merges,
// the topmost first.
func (v view) merged(p string) ([]int, error) {
	var layers []int
	for i, l := range v {
		st, err := l.at(p)
		if err != nil {
			return nil, err
		}
		if st.kind == directory {
			layers = append(layers, i)
		}
		if st.hides() {
			break
		}
	}
	return layers, nil
}

// dirState says which layers decide on the directory at a path. Its numbers are
// indexes of layers; -1 is for none.
type dirState struct {
	top    int  // the topmost layer with the directory, whose attributes the kernel shows
	from   int  // the topmost layer with an entry for the directory
	exists bool // a layer has more than whiteouts in it
	file   int  // the layer whose file is below the directories
}

// dirState reads the layers downwards. An opaque mark hides the content of lower
// directories, but not their attributes; a whiteout hides both.
func (v view) dirState(p string) (dirState, error) {
	a := dirState{top: -1, from: -1, file: -1}
	for i, l := range v {
		st, err := l.at(p)
		if err != nil {
			return a, err
		}
		d := layer.ImpliedDir{}
		if st.kind == directory {
			var implied bool
			d, implied = l.implied[p]
			if a.top < 0 {
				a.top = i
			}
			a.exists = a.exists || !d.Bare
			if !implied {
				a.from = i
				return a, nil
			}
		}
		if st.kind == other {
			a.file = i
		}
		if st.cut || st.kind == other || st.kind == whiteoutKind || d.Opaque == layer.Replaced {
			break
		}
	}
	return a, nil
}

const maxSymlinks = 40 // the kernel's MAXSYMLINKS

// resolve is find for a path whose parents may be symbolic links. It follows them as
// if the stack were mounted as the root directory. It does not follow the last name.
func (v view) resolve(p string) (place, kind, error) {
	todo := strings.Split(p, "/")
	at, links := ".", 0
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			at = path.Dir(at) // the root's parent is the root
			continue
		}
		next := path.Join(at, name)
		i, k, err := v.find(next)
		if err != nil || k == nothing || len(todo) == 0 {
			return place{i, next}, k, err
		}
		if k == directory {
			at = next
			continue
		}
		target, err := v[i].readlink(next)
		if fsat.IsShortage(err) {
			return place{}, nothing, err
		}
		if links++; err != nil || links > maxSymlinks {
			return place{}, nothing, nil // no directory, or a loop of links
		}
		if strings.HasPrefix(target, "/") {
			at = "."
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return place{}, nothing, nil
}

func (l *layerView) readlink(p string) (string, error) {
	f, err := fsat.FindOwned(l.FS, p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return fsat.Readlink(f)
}
