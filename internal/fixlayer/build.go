// SPDX-License-Identifier: Apache-2.0

package fixlayer

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/layer"
)

// Target is the empty layer in which a fix layer is built.
type Target interface {
	// Dir returns the layer's lower directory.
	Dir() *os.File
	// Record adds an entry to the layer's journal.
	Record(layer.Entry) error
	// Room fails if there is no space for a file of so many bytes.
	Room(bytes uint64) error
}

// Built counts what a fix layer has. Links are further names of copies.
type Built struct{ Copies, Links, Whiteouts, Directories int64 }

// Build builds the fix layer that is planned.
func (p *Plan) Build(target Target) (Built, error) {
	b := builder{target, p.v, p.form}
	return b.fill(p)
}

type builder struct {
	g    Target
	v    view
	form layer.Form
}

// fill makes the directories, parents first, then copies and whiteouts. Last it sets
// the attributes of the directories, parents last: later changes in a directory would
// alter its time, and its mode may forbid them.
func (b *builder) fill(p *Plan) (built Built, err error) {
	dirs := slices.SortedFunc(maps.Keys(p.dirs), byDepth)
	for _, dir := range dirs {
		if err := b.mkdir(dir); err != nil {
			return built, err
		}
	}
	sources := slices.Collect(maps.Keys(p.copies))
	sort.Slice(sources, func(i, j int) bool { return comparePlaces(sources[i], sources[j]) < 0 })
	for _, source := range sources {
		if err := b.copy(source, p.copies[source]); err != nil {
			return built, fmt.Errorf("copy %q: %w", source.path, err)
		}
		built.Copies++
		built.Links += int64(len(p.copies[source]) - 1)
	}
	for _, dir := range slices.SortedFunc(maps.Keys(p.absent), byDepth) {
		if err := b.whiteout(dir); err != nil {
			return built, fmt.Errorf("hide %q: %w", dir, err)
		}
		built.Whiteouts++
	}
	for _, dir := range slices.Backward(dirs) {
		if err := b.finish(dir); err != nil {
			return built, err
		}
	}
	built.Directories = int64(len(dirs))
	return built, nil
}

func comparePlaces(a, b place) int {
	if a.layer != b.layer {
		return a.layer - b.layer
	}
	return byDepth(a.path, b.path)
}

// parent opens the parent of p in the fix layer, and returns p's name there. Paths can
// be longer than PATH_MAX, so files are made by their names in open directories.
func (b *builder) parent(p string) (*os.File, string, error) {
	dir, err := fsat.Find(b.g.Dir(), path.Dir(p))
	return dir, path.Base(p), err
}

func (b *builder) mkdir(dir string) error {
	if dir == "." {
		return nil
	}
	parent, name, err := b.parent(dir)
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := unix.Mkdirat(int(parent.Fd()), name, 0o700); err != nil {
		return &os.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return nil
}

// whiteout makes a whiteout at p, in the store's form.
func (b *builder) whiteout(p string) error {
	parent, name, err := b.parent(p)
	if err != nil {
		return err
	}
	defer parent.Close()
	if b.form.Whiteouts == layer.CharDevices {
		err = unix.Mknodat(int(parent.Fd()), name, unix.S_IFCHR, 0)
	} else {
		err = b.whiteoutByMark(parent, name)
	}
	if err != nil {
		return err
	}
	return b.g.Record(layer.Entry{Path: p, Type: layer.Whiteout, ModTime: epoch})
}

func (b *builder) whiteoutByMark(parent *os.File, name string) error {
	f, err := fsat.Create(parent, name, 0o600)
	if err != nil {
		return err
	}
	err = unix.Fsetxattr(int(f.Fd()), b.form.Xattr("whiteout"), []byte("y"), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return fsat.SetXattrFD(int(parent.Fd()), b.form.Xattr("opaque"), "x")
}

func (b *builder) finish(dir string) error {
	a, err := b.v.attributes(dir)
	if err != nil {
		return err
	}
	f, err := fsat.OpenDir(b.g.Dir(), dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lowerdir.SetAttributes(f, a, b.form); err != nil {
		return err
	}
	return b.g.Record(addAttributes(a, layer.Entry{Path: dir, Type: layer.Directory}))
}

// addAttributes returns e with the attributes.
func addAttributes(a fsat.Attributes, e layer.Entry) layer.Entry {
	e.Mode, e.UID, e.GID, e.Xattrs = a.Mode, a.UID, a.GID, a.Xattrs
	e.ModTime = time.Unix(a.Modified.Unix()).UTC()
	return e
}

// epoch is the time of directories without an entry in any layer.
var epoch = time.Unix(0, 0).UTC()
