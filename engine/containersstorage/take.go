// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// Taken says what was taken back.
type Taken struct {
	Images []Held // that engines have no more
	// Kept are those that lost their names, and stay for the containers, or the
	// images of the engine's own, that stand on them.
	Kept   []Held
	Layers int // that were removed
}

// Take takes an image back: the names, or all of them where none is named, and
// with its last name the image. What stands on it keeps it, without a name, and
// a later call removes it. An image that is not there is taken already.
func (s *Store) Take(ctx context.Context, manifest digest.Digest, names ...string) (taken Taken, err error) {
	err = s.change(ctx, func(r *records) error {
		for _, i := range r.images {
			if !slices.Contains(i.manifests(), manifest) {
				continue
			}
			if len(names) == 0 {
				i.Names = nil
			}
			i.dropNames(names)
		}
		taken, err = s.remove(ctx, r, func(i *imageRecord) bool {
			return len(i.Names) == 0 && slices.Contains(i.manifests(), manifest)
		}, true)
		return err
	})
	if err != nil {
		return Taken{}, fmt.Errorf("take %s from containers-storage at %s: %w", manifest, s.path, err)
	}
	return taken, nil
}

// Prune removes each image whose manifests keep all refuses, and the layers that
// neither an image nor a container of an engine stands on.
func (s *Store) Prune(ctx context.Context, keep func(manifest digest.Digest) bool) (taken Taken, err error) {
	err = s.change(ctx, func(r *records) error {
		taken, err = s.remove(ctx, r, func(i *imageRecord) bool { return !slices.ContainsFunc(i.manifests(), keep) }, false)
		return err
	})
	if err != nil {
		return Taken{}, fmt.Errorf("prune containers-storage at %s: %w", s.path, err)
	}
	return taken, nil
}

// remove removes the images that may go and then the layers of none. While it
// looks at who stands on them no engine may read the lists, so that no container
// comes to be meanwhile. changed says that the images' records have changed.
func (s *Store) remove(ctx context.Context, r *records, may func(*imageRecord) bool, changed bool) (taken Taken, err error) {
	unlock, err := s.lockRecords(ctx)
	if err != nil {
		return Taken{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	uses, err := s.uses(ctx, r)
	if err != nil {
		return Taken{}, err
	}
	var stay []*imageRecord
	for _, i := range r.images {
		held := Held{i.ID, i.Names, i.manifests()}
		switch {
		case !may(i):
			stay = append(stay, i)
		case uses.image(i):
			changed = changed || len(i.Names) > 0
			i.Names = nil
			stay = append(stay, i)
			taken.Kept = append(taken.Kept, held)
		default:
			taken.Images = append(taken.Images, held)
		}
	}
	r.images = stay
	if changed || len(taken.Images) > 0 {
		if err := writeList(ctx, s.root, imagesDir, imagesFile, r.images); err != nil {
			return Taken{}, err
		}
	}
	if taken.Layers, err = s.removeLayers(ctx, r, uses); err != nil {
		return Taken{}, err
	}
	return taken, s.clear(ctx, r)
}

// removeLayers removes from layers.json what nothing stands on.
func (s *Store) removeLayers(ctx context.Context, r *records, u *uses) (int, error) {
	needed := map[string]bool{}
	for _, top := range append(u.layers(), tops(r.images)...) {
		for id := range r.chain(top) {
			needed[id] = true
		}
	}
	before := len(r.layers)
	r.layers = slices.DeleteFunc(r.layers, func(l *layerRecord) bool { return !needed[l.ID] })
	if len(r.layers) == before {
		return 0, nil
	}
	return before - len(r.layers), writeList(ctx, s.root, layersDir, layersFile, r.layers)
}

func tops(images []*imageRecord) (ids []string) {
	for _, i := range images {
		ids = append(ids, i.Layer)
	}
	return ids
}

// tidy clears away what a process that died has left.
func (s *Store) tidy(ctx context.Context, r *records) error {
	staging, err := durable.OpenDirAt(s.root, stagingDir)
	if err != nil {
		return err
	}
	defer staging.Close()
	names, err := fsat.Names(staging)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, heldPrefix) })
	if err := errors.Join(removeEach(staging, names), s.releaseHeld(ctx, r)); err != nil {
		return err
	}
	return s.clear(ctx, r)
}

// clear removes what no record names.
func (s *Store) clear(ctx context.Context, r *records) error {
	layers, links, images := map[string]bool{linksDir: true}, map[string]bool{}, map[string]bool{imagesFile: true, imagesLock: true}
	for _, l := range r.layers {
		layers[l.ID], links[linkName(l.ID)] = true, true
	}
	for _, i := range r.images {
		images[i.ID] = true
	}
	for _, c := range []struct {
		dir  string
		keep map[string]bool
	}{{overlayDir, layers}, {overlayDir + "/" + linksDir, links}, {imagesDir, images}, {layersDir, map[string]bool{layersFile: true, layersLock: true}}} {
		if err := s.clearDir(ctx, c.dir, c.keep); err != nil {
			return err
		}
	}
	return nil
}

// clearDir removes what looks like this package's and is not to be kept. It is
// moved away first: a directory that is there is whole.
func (s *Store) clearDir(ctx context.Context, path string, keep map[string]bool) error {
	dir, err := fsat.OpenDir(s.root, path)
	if err != nil {
		return err
	}
	defer dir.Close()
	staging, err := durable.OpenDirAt(s.root, stagingDir)
	if err != nil {
		return err
	}
	defer staging.Close()
	names, err := fsat.Names(dir)
	if err != nil {
		return err
	}
	var moved []string
	for _, name := range names {
		if keep[name] || !ours(name) {
			continue
		}
		to := "gone-" + name
		if err := durable.RenameNoReplace(ctx, dir, name, staging, to); err != nil {
			return err
		}
		moved = append(moved, to)
	}
	if len(moved) == 0 {
		return nil
	}
	if err := durable.SyncDir(ctx, dir); err != nil {
		return err
	}
	return removeEach(staging, moved)
}

func removeEach(dir *os.File, names []string) error {
	for _, name := range names {
		if err := fsat.RemoveAll(dir, name); err != nil {
			return err
		}
	}
	return nil
}

// ours says whether a name is one that this package gives: an id, a link or a
// file that was not finished.
func ours(name string) bool {
	switch len(name) {
	case 64:
		return strings.Trim(name, "0123456789abcdef") == ""
	case 26:
		return strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
	}
	return strings.HasPrefix(name, durable.TempPrefix)
}
