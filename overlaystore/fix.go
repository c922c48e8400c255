// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
)

// A layer is unpacked without a look at the layers below it. What depends on
// them is mended by a fix layer, a small lower dir on top of the stack. It is
// planned in four steps over the assembled stack (repeated layers dropped, cut
// below an opaque root):
//
//  1. Foreign hard links, from the lowest layer to the topmost: the target is
//     looked up in the layers below the link's, following symbolic links in
//     its parents; what is found may itself be such a link. Those links that
//     are visible in the whole stack are copied, each target once, and all
//     names that it still has at the top become links to the copy.
//  2. Implied directories: overlayfs shows the attributes of the topmost
//     directory, but a layer that only implied it cannot say them. The nearest
//     layer below that says them does, through opaque marks, yet not through
//     a whiteout, a file, or a replaced directory; if none does they are
//     0755, root, the epoch. The directory is in the fix layer when that is
//     not what the topmost one has on disk.
//  3. Ghosts: overlayfs lists whiteouts, as names that do not exist, in a
//     directory that only one layer has. Such a directory is in the fix layer
//     too: then two have it, and whiteouts in merged directories do not show.
//     Those by attribute do in the lowest that has it: the fix layer hides each.
//     A directory that was made in a layer only to hold whiteouts, and that no
//     layer below has, does not exist at all: the fix layer has a whiteout.
//  4. All parents of what is there, with the attributes they have by rule 2.
//
// Nothing in a fix layer is opaque, so it hides nothing but what it copies and
// directories without a file.

const fixPrefix = "fix-" // of a fix layer's lock, and of its name when unsynced

// ErrMalformed: the image's layers do not make sense together.
var ErrMalformed = errkind.New(errkind.Malformed, "malformed image")

// ensureFix makes the fix layer of an image unless it is there, and returns
// the chainID that names it, or "" when the image needs none.
func (s *Store) ensureFix(ctx context.Context, img Image, stack []stackLayer) (digest.Digest, error) {
	if len(img.Layers) == 0 {
		return "", nil
	}
	chain := manifest.ChainID(img.Layers)
	if has, err := s.hasFix(chain); err != nil || has {
		return chain, err
	}
	v, p, err := s.planFix(img, stack)
	if err != nil {
		return "", fmt.Errorf("plan the fix layer: %w", err)
	}
	defer v.close()
	if p.empty() {
		return "", nil
	}
	// Only now, with every layer unpacked, is it known.
	if len(stack) == maxLower {
		return "", fmt.Errorf("%w: the image has %d layers, all that the kernel mounts, and needs one more that mends what a layer cannot say alone (%s); rebuild it with one layer less",
			ErrUnsupported, len(stack), p.reason())
	}
	if err := s.makeFix(ctx, chain, v, p); err != nil {
		return "", fmt.Errorf("make the fix layer: %w", err)
	}
	return chain, nil
}

// fixLayer is where under the store the fix layer's fs directory is.
func (s *Store) fixLayer(chain digest.Digest) (string, error) {
	dir, rel, err := s.openFix(chain)
	if err != nil {
		return "", err
	}
	return rel + "/" + fsDir, dir.Close()
}

// openFix opens a fix layer, once: whoever opens it again by its path may find
// that it was pruned meanwhile. rel is where it is under the store.
func (s *Store) openFix(chain digest.Digest) (dir *os.File, rel string, err error) {
	name, err := hexName(chain)
	if err != nil {
		return nil, "", err
	}
	for _, rel := range []string{fixDir + "/" + name, unsyncedDir + "/" + s.boot + "/" + fixPrefix + name} {
		dir, err := durable.OpenDirAt(s.root, rel)
		if !errors.Is(err, fs.ErrNotExist) {
			return dir, rel, err
		}
	}
	return nil, "", fmt.Errorf("fix layer %s: %w: %w", chain, ErrNotFound, errPullAgain)
}

// fixPlan is what a fix layer will hold.
type fixPlan struct {
	dirs   map[string]bool    // directories, with all their parents
	voids  map[string]bool    // what is hidden: directories with whiteouts only, and marks that would show
	copies map[place][]string // what is copied, and the names it gets, sorted
}

func (p *fixPlan) empty() bool { return len(p.dirs) == 0 && len(p.copies) == 0 }

// reason names one path that the plan is for.
func (p *fixPlan) reason() string {
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

func (p *fixPlan) addDir(dir string) {
	for !p.dirs[dir] {
		p.dirs[dir] = true
		dir = path.Dir(dir)
	}
}

func (s *Store) planFix(img Image, stack []stackLayer) (view, *fixPlan, error) {
	v, err := s.openView(stack)
	if err != nil {
		return nil, nil, err
	}
	p := &fixPlan{dirs: map[string]bool{}, voids: map[string]bool{}, copies: map[place][]string{}}
	err = v.resolveForeign(img.Layers)
	for _, step := range []func(view) error{p.foreignLinks, p.impliedDirs, p.ghosts} {
		if err == nil {
			err = step(v)
		}
	}
	if err != nil {
		v.close()
		return nil, nil, err
	}
	return v, p, nil
}

func (p *fixPlan) foreignLinks(v view) error {
	for i, l := range v {
		for _, link := range slices.Sorted(maps.Keys(l.foreign)) {
			if err := p.copyVisible(v, place{i, link}, l.foreign[link]); err != nil {
				return err
			}
		}
	}
	for source, names := range p.copies {
		slices.Sort(names)
		p.copies[source] = slices.Compact(names)
		for _, name := range names {
			p.addDir(path.Dir(name))
		}
	}
	return nil
}

// resolveForeign finds the target of every foreign link, the lowest layer's
// first, since a link can be the target of one above it.
func (v view) resolveForeign(layers []digest.Digest) error {
	for _, l := range slices.Backward(v) {
		if len(l.rec.ForeignLinks) == 0 {
			continue
		}
		below := v.below(l, layers)
		for _, link := range l.rec.ForeignLinks {
			found, k, err := below.resolve(string(link.Target))
			if err != nil {
				return err
			}
			if k != other {
				return fmt.Errorf("%w: layer %s links %q to %q, which no lower layer has as a file", ErrMalformed, l.diffID, link.Path, link.Target)
			}
			found.layer = slices.Index(v, below[found.layer])
			if further, ok := v[found.layer].foreign[found.path]; ok {
				found = further
			}
			l.foreign[string(link.Path)] = found
			clear(l.states) // it says more now
		}
	}
	return nil
}

// below are the layers below l as the image has them, also those which the
// stack has only above l, because the image repeats them there.
func (v view) below(l *layerView, layers []digest.Digest) view {
	var below view
	at := len(layers) - 1
	for layers[at] != l.diffID {
		at--
	}
	for ; at > 0 && !l.rec.RootOpaque; at-- {
		i := slices.IndexFunc(v, func(o *layerView) bool { return o.diffID == layers[at-1] })
		if i < 0 {
			break
		}
		if l = v[i]; !slices.Contains(below, l) {
			below = append(below, l)
		}
	}
	return below
}

// copyVisible plans a copy of source for the foreign link at name, if that is
// what shows there, and a new link for each of the source's own names that
// show, so that all stay names of one file.
func (p *fixPlan) copyVisible(v view, name, source place) error {
	shows, err := v.shows(name)
	if err != nil || !shows {
		return err
	}
	own, err := v[source.layer].namesOf(source.path)
	if err != nil {
		return err
	}
	source.path = own[0] // one copy for all names of one file
	p.copies[source] = append(p.copies[source], name.path)
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

// shows reports whether the file that the whole stack has at a path is the one
// of that layer.
func (v view) shows(p place) (bool, error) {
	i, k, err := v.find(p.path)
	if err != nil || k != other || i != p.layer {
		return false, err
	}
	return true, nil
}

func (p *fixPlan) impliedDirs(v view) error {
	dirs := map[string]bool{}
	for _, l := range v {
		for dir := range l.implied {
			dirs[dir] = true
		}
	}
	// Parents first, for what is below a directory that does not exist needs
	// no look.
	for _, dir := range slices.SortedFunc(maps.Keys(dirs), byDepth) {
		if p.inVoid(dir) {
			continue
		}
		a, err := v.voices(dir)
		if err != nil {
			return err
		}
		if a.top >= 0 && !a.exists && dir != "." {
			p.voids[dir] = true
			p.addDir(path.Dir(dir))
			continue
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

// inVoid reports whether dir is, or is below, a directory that does not exist.
func (p *fixPlan) inVoid(dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if p.voids[dir] {
			return true
		}
	}
	return false
}

func (v view) wrongAttributes(dir string, a voices) (bool, error) {
	if a.top < 0 || a.top == a.speaker {
		return false, nil
	}
	have, err := v[a.top].attributes(dir)
	if err != nil {
		return false, err
	}
	want, err := v.attributes(dir)
	return !lowerdir.Equal(want, have), err
}

// attributes are those that the directory at dir must show.
func (v view) attributes(dir string) (fsat.Attributes, error) {
	a, err := v.voices(dir)
	if err != nil {
		return fsat.Attributes{}, err
	}
	if a.speaker < 0 {
		return lowerdir.Plain(), nil
	}
	return v[a.speaker].attributes(dir)
}

func (l *layerView) attributes(p string) (fsat.Attributes, error) {
	f, err := fsat.Find(l.dir, p)
	if err != nil {
		return fsat.Attributes{}, err
	}
	defer f.Close()
	a, _, err := lowerdir.Attributes(f)
	return a, err
}

func (p *fixPlan) ghosts(v view) error {
	for i, l := range v {
		for _, dir := range l.rec.WhiteoutParents {
			// A root is always merged: an overlay has two layers.
			if dir == "." || p.inVoid(string(dir)) {
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

// hideMarks hides the whiteouts by attribute that one layer has in a directory:
// in the lowest of those that are merged there the kernel does not look for
// them, and would list them as names that do not exist (ovl_lookup_single in
// fs/overlayfs/namei.c, "last").
func (p *fixPlan) hideMarks(v view, l *layerView, dir string) error {
	f, err := fsat.Find(l.dir, dir)
	if err != nil {
		return err
	}
	names, err := fsat.Names(f)
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
		p.voids[at] = true
		p.addDir(dir)
	}
	return nil
}

// byDepth orders paths so that parents come before what is in them.
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
