// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/layer"
)

// makeFix makes the fix layer that is planned, unless another process does so
// first.
func (s *Store) makeFix(ctx context.Context, chain digest.Digest, v view, p *fixPlan) error {
	g, err := s.stage(ctx, chain, fixPrefix, takeLock, s.hasFix)
	if errors.Is(err, ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer g.Discard()
	if err := s.fillFix(ctx, g, v, p); err != nil {
		return err
	}
	return s.commit(ctx, s.dirs[fixDir], fixPrefix, []*Staging{g})
}

// hasFix is [Store.HasLayer] for a fix layer.
func (s *Store) hasFix(chain digest.Digest) (bool, error) {
	rel, err := s.fixLayer(chain)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && (s.noSync || strings.HasPrefix(rel, fixDir+"/")), err
}

func (s *Store) fillFix(ctx context.Context, g *Staging, v view, p *fixPlan) error {
	if err := durable.Fault(ctx, "fill fix layer"); err != nil {
		return err
	}
	b := fixBuilder{g, v, s.format}
	rec := LayerRecord{}
	if err := b.fill(p, &rec); err != nil {
		return err
	}
	return g.Seal(ctx, rec)
}

type fixBuilder struct {
	g    *Staging
	v    view
	form Format
}

// fill makes the directories, parents first; the copies; then sets the
// directories' attributes, parents last, so that times and modes stand.
func (b *fixBuilder) fill(p *fixPlan, rec *LayerRecord) error {
	dirs := slices.SortedFunc(maps.Keys(p.dirs), byDepth)
	for _, dir := range dirs {
		if err := b.mkdir(dir); err != nil {
			return err
		}
	}
	for _, source := range slices.SortedFunc(maps.Keys(p.copies), comparePlaces) {
		if err := b.copy(source, p.copies[source]); err != nil {
			return fmt.Errorf("copy %q: %w", source.path, err)
		}
		rec.Counts.Regular++
		rec.Counts.Hardlinks += int64(len(p.copies[source]) - 1)
	}
	for _, dir := range slices.SortedFunc(maps.Keys(p.voids), byDepth) {
		if err := b.whiteout(dir); err != nil {
			return fmt.Errorf("hide %q: %w", dir, err)
		}
		rec.Counts.Whiteouts++
	}
	for _, dir := range slices.Backward(dirs) {
		if err := b.finish(dir); err != nil {
			return err
		}
	}
	rec.Counts.Directories = int64(len(dirs))
	return nil
}

func comparePlaces(a, b place) int {
	if a.layer != b.layer {
		return a.layer - b.layer
	}
	return byDepth(a.path, b.path)
}

// parent opens the directory of p in the fix layer, and its name there. Paths
// can be longer than PATH_MAX, so nothing is done by path.
func (b *fixBuilder) parent(p string) (*os.File, string, error) {
	dir, err := fsat.Find(b.g.Dir(), path.Dir(p))
	return dir, path.Base(p), err
}

func (b *fixBuilder) mkdir(dir string) error {
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

// whiteout hides p, in the store's form.
func (b *fixBuilder) whiteout(p string) error {
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

func (b *fixBuilder) whiteoutByMark(parent *os.File, name string) error {
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

func (b *fixBuilder) finish(dir string) error {
	a, err := b.v.attributes(dir)
	if err != nil {
		return err
	}
	f, err := fsat.OpenDir(b.g.Dir(), dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lowerdir.SetAttributes(f, a, b.form.Form); err != nil {
		return err
	}
	return b.g.Record(addAttributes(a, layer.Entry{Path: dir, Type: layer.Directory}))
}

// addAttributes adds the attributes to e.
func addAttributes(a fsat.Attributes, e layer.Entry) layer.Entry {
	e.Mode, e.UID, e.GID, e.Xattrs = a.Mode, a.UID, a.GID, a.Xattrs
	e.ModTime = time.Unix(a.Modified.Unix()).UTC()
	return e
}

// epoch is the time of directories whose time nobody says.
var epoch = time.Unix(0, 0).UTC()
