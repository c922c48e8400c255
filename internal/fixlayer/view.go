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

// state is what one layer says about one path.
type state struct {
	kind   kind
	opaque bool // a directory that hides what lower layers have in it
	cut    bool // something above the path hides what lower layers have there
}

// layerView is one layer's directory, looked at path by path.
type layerView struct {
	Layer
	form    layer.Form
	implied map[string]layer.ImpliedDir
	foreign map[string]place // hard links to lower layers, as resolved
	states  map[string]state
}

// place is a path in one layer of a view.
type place struct {
	layer int
	path  string
}

// view is the stack as overlayfs merges it, the topmost layer first: what a
// name means is found by asking the layers downwards until one hides the rest.
type view []*layerView

func newLayerView(l Layer, form layer.Form) *layerView {
	lv := &layerView{Layer: l, form: form, implied: map[string]layer.ImpliedDir{}, foreign: map[string]place{}, states: map[string]state{}}
	for _, d := range l.Facts.Implied {
		lv.implied[string(d.Path)] = d
	}
	return lv
}

// at is the layer's state at p. Parents are asked first and remembered: what
// they hide, they hide for all that is below them.
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
		return state{kind: directory}, nil // its opaque mark has cut the stack already
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
		// Where a foreign link belongs there is a whiteout on disk.
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

// readable calls do, which reads what f has beside its content, again as the
// owner of the store where f's mode forbids it.
func (l *layerView) readable(f *os.File, do func() error) error {
	err := do()
	if errors.Is(err, fs.ErrPermission) {
		err = fsat.WithRead(l.FS, f, func(uint32) error { return do() })
	}
	return err
}

// hides reports whether lower layers have no say at the path or, for a
// directory, in what it contains.
func (st state) hides() bool {
	return st.cut || st.opaque || st.kind == other || st.kind == whiteoutKind
}

// find is the topmost layer that has a thing at p, and what; nothing where p
// does not exist in the stack.
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

// merged are the layers whose directories at p overlayfs merges into one, the
// topmost first.
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

// dirState are what the layers say of the directory that is visible at a path.
type dirState struct {
	top    int  // whose directory the kernel takes the attributes from, or -1
	from   int  // the topmost whose tar says the attributes, or -1
	exists bool // not all that have it only hold whiteouts in it
	file   int  // whose file is below them, or -1
}

// dirState asks the layers downwards. A mark of opaqueness hides what is in a
// lower directory, not what it is; a whiteout hides both.
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

const maxSymlinks = 40 // as the kernel's MAXSYMLINKS

// resolve is find for a path whose parents may be symbolic links, which are
// followed as if the stack were mounted at the root. The last component is
// not followed.
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
			return place{}, nothing, nil // no way through here
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
