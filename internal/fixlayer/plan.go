// SPDX-License-Identifier: Apache-2.0

package fixlayer

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/layer"
)

// Layer is one layer of an image, as a plan needs it.
type Layer struct {
	DiffID digest.Digest
	// Dir is the layer's directory, with its journal. nil is for a layer without a
	// journal, whose files cannot be copied.
	Dir   *os.File
	FS    *os.File // the layer's lower directory; nil if Dir is
	Facts layer.Facts
	// Borrowed says that the plan does not close Dir and FS.
	Borrowed bool
	// Mended says that the directories of this layer are right already, on disk or by
	// a fix layer that was built before, except those that a layer above it changes.
	Mended bool
}

// NeedsError says that a file would have to be copied from a layer without a journal.
type NeedsError struct {
	Layer digest.Digest
	Path  string
}

func (e *NeedsError) Error() string {
	return fmt.Sprintf("a layer above needs %q of layer %s", e.Path, e.Layer)
}

// New plans the fix layer of an image. stack has its layers as they are mounted, the
// topmost first; all has its diffIDs as the image lists them, the lowest first. If a
// file of a layer without a journal must be copied the error is a [*NeedsError]. A
// foreign link without a target is [errkind.Malformed]. After an error the layers are
// closed, except borrowed ones.
func New(stack []Layer, all []digest.Digest, form layer.Form) (*Plan, error) {
	p := &Plan{form: form, dirs: map[string]bool{}, absent: map[string]bool{}, kept: map[string]bool{}, copies: map[place][]string{}}
	for _, l := range stack {
		p.v = append(p.v, newLayerView(l, form))
	}
	err := p.v.resolveForeign(all)
	for _, step := range []func(view) error{p.foreignLinks, p.impliedDirs, p.hideWhiteouts} {
		if err == nil {
			err = step(p.v)
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close closes the layers that are not borrowed.
func (p *Plan) Close() error {
	var errs []error
	for _, l := range p.v {
		if !l.Borrowed {
			errs = append(errs, l.Dir.Close(), l.FS.Close())
		}
	}
	return errors.Join(errs...)
}

// Plan says what a fix layer will have. It keeps the layers open until Close.
type Plan struct {
	v      view
	form   layer.Form
	dirs   map[string]bool // the directories of the fix layer, with all their parents
	absent map[string]bool // the whiteouts of the fix layer
	kept   map[string]bool // files of lower layers at the paths of bare directories

	replaced []string
	copies   map[place][]string // the names that each copy gets, sorted
}

// Empty reports whether the image needs no fix layer.
func (p *Plan) Empty() bool { return len(p.dirs) == 0 && len(p.copies) == 0 }

// Reason names one path that the image needs the fix layer for.
func (p *Plan) Reason() string {
	for _, names := range p.copies {
		return fmt.Sprintf("%q is a hard link into a layer below", names[0])
	}
	for _, dir := range slices.Sorted(maps.Keys(p.dirs)) {
		if dir != "." {
			return fmt.Sprintf("the directory %q", dir)
		}
	}
	return "the root directory"
}

// Replaced returns the directories without an entry that replace a symbolic link or a
// file of a lower layer. The author of such an image usually meant the directory to
// which the link leads.
func (p *Plan) Replaced() []string { return p.replaced }

func (p *Plan) addDir(dir string) {
	for !p.dirs[dir] {
		p.dirs[dir] = true
		dir = path.Dir(dir)
	}
}

func (p *Plan) foreignLinks(v view) error {
	for i, l := range v {
		for _, link := range slices.Sorted(maps.Keys(l.foreign)) {
			if err := p.copyVisible(v, place{i, link}, l.foreign[link]); err != nil {
				return err
			}
		}
	}
	p.sortCopies()
	return nil
}

// sortCopies sorts the names of each copy, and plans their parents.
func (p *Plan) sortCopies() {
	for source, names := range p.copies {
		slices.Sort(names)
		p.copies[source] = slices.Compact(names)
		for _, name := range names {
			p.addDir(path.Dir(name))
		}
	}
}

// resolveForeign finds the target of every foreign link, the lowest layer's
// first, since a link can be the target of one above it.
func (v view) resolveForeign(layers []digest.Digest) error {
	for _, l := range slices.Backward(v) {
		if len(l.Facts.ForeignLinks) == 0 {
			continue
		}
		below := v.below(l, layers)
		for _, link := range l.Facts.ForeignLinks {
			found, k, err := below.resolve(string(link.Target))
			if err != nil {
				return err
			}
			if k != other {
				return fmt.Errorf("%w: layer %s links %q to %q, which no lower layer has as a file", errkind.Malformed, l.DiffID, link.Path, link.Target)
			}
			found.layer = slices.Index(v, below[found.layer])
			if further, ok := v[found.layer].foreign[found.path]; ok {
				found = further
			}
			l.foreign[string(link.Path)] = found
			clear(l.states) // they depend on l.foreign
		}
	}
	return nil
}

// below returns the layers below l in the image. The stack may have some of them only
// above l, because the image repeats them there.
func (v view) below(l *layerView, layers []digest.Digest) view {
	var below view
	at := len(layers) - 1
	for layers[at] != l.DiffID {
		at--
	}
	for ; at > 0 && !l.Facts.RootOpaque; at-- {
		i := slices.IndexFunc(v, func(o *layerView) bool { return o.DiffID == layers[at-1] })
		if i < 0 {
			break
		}
		if l = v[i]; !slices.Contains(below, l) {
			below = append(below, l)
		}
	}
	return below
}

// copyVisible plans a copy of source for the foreign link at name, if the link is
// visible in the stack.
func (p *Plan) copyVisible(v view, name, source place) error {
	shows, err := v.shows(name)
	if err != nil || !shows {
		return err
	}
	return p.copyTo(v, name.path, source)
}

// copyTo plans a copy of source at name, and a link to it for each name of source that
// is visible, so that all stay names of one file.
func (p *Plan) copyTo(v view, name string, source place) error {
	if from := v[source.layer]; from.Dir == nil {
		return &NeedsError{from.DiffID, source.path}
	}
	own, err := v[source.layer].namesOf(source.path)
	if err != nil {
		return err
	}
	source.path = own[0] // the same key for all names of a file, so it is copied once
	p.copies[source] = append(p.copies[source], name)
	for _, o := range own {
		shows, err := v.shows(place{source.layer, o})
		if err != nil {
			return err
		}
		if shows {
			p.copies[source] = append(p.copies[source], o)
		}
	}
	return nil
}

// shows reports whether the whole stack shows the file of that layer at the path.
func (v view) shows(p place) (bool, error) {
	i, k, err := v.find(p.path)
	if err != nil || k != other || i != p.layer {
		return false, err
	}
	return true, nil
}

func (p *Plan) impliedDirs(v view) error {
	dirs := map[string]bool{}
	for _, l := range v {
		if l.Mended {
			continue
		}
		for dir := range l.implied {
			dirs[dir] = true
		}
	}
	// Parents first: nothing below a directory that does not exist matters.
	for _, dir := range slices.SortedFunc(maps.Keys(dirs), byDepth) {
		if p.isAbsent(dir) {
			continue
		}
		a, err := v.dirState(dir)
		if err != nil {
			return err
		}
		if a.top >= 0 && !a.exists && dir != "." {
			if err := p.hideDir(v, dir, a.file); err != nil {
				return err
			}
			continue
		}
		if a.file >= 0 && a.from < 0 {
			p.replaced = append(p.replaced, dir)
		}
		wrong, err := v.wrongAttributes(dir, a)
		if err != nil {
			return err
		}
		if wrong {
			p.addDir(dir)
		}
	}
	return nil
}

// hideDir plans what replaces a bare directory that does not exist in the image: a
// copy of the file that the layer with the index file has at its path, or a whiteout
// if file is -1. A whiteout below a file deletes nothing.
func (p *Plan) hideDir(v view, dir string, file int) error {
	p.addDir(path.Dir(dir))
	if file < 0 {
		p.absent[dir] = true
		return nil
	}
	p.kept[dir] = true
	source := place{file, dir}
	if further, ok := v[file].foreign[dir]; ok {
		source = further
	}
	err := p.copyTo(v, dir, source)
	p.sortCopies()
	return err
}

// isAbsent reports whether dir is, or is below, a directory that does not exist.
func (p *Plan) isAbsent(dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if p.absent[dir] || p.kept[dir] {
			return true
		}
	}
	return false
}

func (v view) wrongAttributes(dir string, a dirState) (bool, error) {
	if a.top < 0 || a.top == a.from {
		return false, nil
	}
	have, err := v[a.top].attributes(dir)
	if err != nil {
		return false, err
	}
	want, err := v.attributes(dir)
	return !lowerdir.Equal(want, have), err
}

// attributes returns the attributes that the directory at dir must have.
func (v view) attributes(dir string) (fsat.Attributes, error) {
	a, err := v.dirState(dir)
	if err != nil {
		return fsat.Attributes{}, err
	}
	if a.from < 0 {
		return lowerdir.Plain(), nil
	}
	return v[a.from].attributes(dir)
}

func (l *layerView) attributes(p string) (fsat.Attributes, error) {
	f, err := fsat.FindOwned(l.FS, p)
	if err != nil {
		return fsat.Attributes{}, err
	}
	defer f.Close()
	a, _, err := ownedAttributes(l.FS, f)
	return a, err
}

func (p *Plan) hideWhiteouts(v view) error {
	for i, l := range v {
		if l.Mended {
			continue
		}
		for _, dir := range l.Facts.WhiteoutParents {
			// The root is always merged, because an overlay has two layers.
			if dir == "." || p.isAbsent(string(dir)) {
				continue
			}
			layers, err := v.merged(string(dir))
			if err != nil {
				return err
			}
			switch lowest := len(layers) > 0 && layers[len(layers)-1] == i; {
			case lowest && l.form.Whiteouts == layer.XattrMarks:
				if err := p.hideMarks(v, l, string(dir)); err != nil {
					return err
				}
			case lowest && len(layers) == 1:
				p.addDir(string(dir))
			}
		}
	}
	return nil
}

// hideMarks plans a whiteout for each whiteout by attribute in a directory of l, the
// lowest layer that is merged there. In the lowest layer the kernel does not look for
// such whiteouts, and would list them as names that do not exist (ovl_lookup_single
// in fs/overlayfs/namei.c, "last").
func (p *Plan) hideMarks(v view, l *layerView, dir string) error {
	f, err := fsat.FindOwned(l.FS, dir)
	if err != nil {
		return err
	}
	var names []string
	err = l.readable(f, func() (err error) {
		names, err = fsat.Names(f)
		return err
	})
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, name := range names {
		at := path.Join(dir, name)
		st, err := l.at(at)
		if err != nil {
			return err
		}
		if st.kind != whiteoutKind {
			continue
		}
		if _, shows, err := v.find(at); err != nil || shows != nothing {
			if err != nil {
				return err
			}
			continue
		}
		p.absent[at] = true
		p.addDir(dir)
	}
	return nil
}

// byDepth orders paths so that parents come before their content.
func byDepth(a, b string) int {
	depth := func(p string) int {
		if p == "." {
			return -1
		}
		return strings.Count(p, "/")
	}
	if d := depth(a) - depth(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}
