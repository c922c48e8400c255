// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/stagingdir"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/tarlayer"
)

// Restage begins a new copy of a damaged layer. The caller fills and seals it like
// any other, and [Store.ReplaceLayer] puts it in place. Restage waits as
// [Store.Stage] does.
func (s *Store) Restage(ctx context.Context, diffID digest.Digest) (*Staging, error) {
	absent := func(digest.Digest) (bool, error) { return false, nil }
	g, err := s.stage(ctx, diffID, "", takeLock, absent)
	if err != nil {
		return nil, fmt.Errorf("stage layer %s again: %w", diffID, s.Explain(err))
	}
	g.private = true
	return g, nil
}

// ReplaceLayer replaces the layer of the same diffID by a sealed one, atomically
// and durably. Mounts go on showing the old directory, which stays in the trash
// until the last of them is gone.
func (s *Store) ReplaceLayer(ctx context.Context, g *Staging) error {
	err := s.replace(ctx, g, s.dirs[storedirs.Layers])
	if err := errors.Join(err, g.Discard()); err != nil {
		return fmt.Errorf("replace layer %s: %w", g.diffID, s.Explain(err))
	}
	return nil
}

func (s *Store) replace(ctx context.Context, g *Staging, in *os.File) error {
	if !g.sealed || g.done {
		return fmt.Errorf("layer %s is not sealed", g.diffID)
	}
	// Synced also with NoSync, for the old layer may be durable.
	if err := durable.SyncFS(ctx, g.dir); err != nil {
		return err
	}
	unlock, err := s.Share(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := stagingdir.Move{From: g.parent, Name: g.name, To: in, Final: g.diffID.Encoded()}.Exchange(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return s.moveIn(ctx, []*Staging{g}, nil)
	}
	if err != nil {
		return err
	}
	defer old.Close()
	// Where this fails a power cut leaves the new layer or the damaged one.
	return errors.Join(durable.SyncDir(ctx, in), s.hold(ctx, g))
}

// heldPrefix begins the names in trash/ of directories that a mount may still
// use, until the next boot at the latest.
const heldPrefix = "held-"

// hold moves the old directory, which is now in the staging's place, to the trash,
// where it stays while a mount uses it.
func (s *Store) hold(ctx context.Context, g *Staging) error {
	name := heldPrefix + s.boot + "-" + g.diffID.Encoded() + "-" + rand.Text()
	if err := durable.RenameNoReplace(ctx, s.dirs[storedirs.Staging], g.name, s.dirs[storedirs.Trash], name); err != nil {
		return err
	}
	g.done = true
	if err := g.close(); err != nil {
		return err
	}
	return s.leftovers().Empty(ctx, name)
}

// held reports whether a mount may use a directory in the trash. Mountinfo shows only
// the layer's digest, so a mount of the new directory counts, too.
func (s *Store) held(ctx context.Context, name string) (bool, error) {
	suffix, ok := strings.CutPrefix(name, heldPrefix+s.boot+"-")
	if !ok {
		return false, nil
	}
	hex, _, _ := strings.Cut(suffix, "-")
	dirs, err := s.mountedDirs(ctx)
	return dirs[hex], err
}

// mountedDirs returns the names in layers/ and fix/ that mounts use, or may use.
func (s *Store) mountedDirs(ctx context.Context) (map[string]bool, error) {
	ix, images, err := s.mountIndex()
	if err != nil {
		return nil, err
	}
	dirs := map[string]bool{}
	err = mounts.Each(ctx, func(proc string, e mounts.Entry) {
		u := ix.Use(ctx, proc, e)
		for _, dir := range u.Dirs {
			name := dir[strings.LastIndex(dir, "/")+1:]
			dirs[strings.TrimPrefix(name, fixPrefix)] = true
		}
		for _, img := range images {
			if img.Manifest == u.Manifest && u.Manifest != "" {
				addDirs(dirs, img)
			}
		}
	})
	return dirs, err
}

// addDirs adds the names of the directories of img's layers and of its fix layer.
func addDirs(dirs map[string]bool, img Image) {
	for _, diffID := range img.Layers {
		dirs[diffID.Encoded()] = true
	}
	if img.Fix != "" {
		dirs[img.Fix.Encoded()] = true
	}
}

// Protect enables fs-verity again for the layers and indexes of a report that lost only that,
// and takes them out. It reads them first. ErrUnsupported ends it, and takes out the rest.
func (s *Store) Protect(ctx context.Context, r *Report) (protected int, err error) {
	r.Differences = slices.DeleteFunc(slices.Clone(r.Differences), func(d Difference) bool {
		if lost := tarlayer.Unprotected(d.Field, d.Got); !lost || err != nil || ctx.Err() != nil {
			return lost && err != nil // what is fetched would not get it either
		}
		again, failed := s.protectAgain(ctx, verifyTarget{id: d.Layer, fix: d.Fix})
		if again {
			protected++
		} else if errors.Is(failed, ErrUnsupported) {
			err = failed
		} else if failed != nil {
			s.log.Warn("enable fs-verity again", "layer", d.Layer, "error", failed)
		}
		return again || err != nil
	})
	return protected, errors.Join(err, ctx.Err())
}

func (s *Store) protectAgain(ctx context.Context, t verifyTarget) (again bool, err error) {
	dir, err := s.openTarget(t)
	if err != nil {
		return false, err
	}
	defer dir.Close() // only read
	rec, err := ReadRecord(dir)
	if err == nil {
		again, err = tarlayer.ProtectAgain(ctx, dir, s.recorded(t.id, &rec))
	}
	return again, s.Explain(err)
}

// RepairFix builds the fix layer or the index of img anew from its layers, which
// must be undamaged, and puts it in place as [Store.ReplaceLayer] does.
func (s *Store) RepairFix(ctx context.Context, img Image) error {
	if img.Fix == "" {
		return nil
	}
	if err := s.repairFix(ctx, img); err != nil {
		return fmt.Errorf("repair fix layer %s: %w", img.Fix, s.Explain(err))
	}
	return nil
}

func (s *Store) repairFix(ctx context.Context, img Image) error {
	fill := func(g *Staging) error { return s.fillIndex(ctx, g, img.Layers, nil) }
	if !s.tars() {
		stack, err := s.stack(img)
		if err != nil {
			return err
		}
		p, err := s.planFix(img, stack)
		if err != nil {
			return err
		}
		defer p.Close()
		fill = func(g *Staging) error { return s.fillFix(ctx, g, p) }
	}
	absent := func(digest.Digest) (bool, error) { return false, nil }
	g, err := s.stage(ctx, img.Fix, fixPrefix, takeLock, absent)
	if err != nil {
		return err
	}
	if err := fill(g); err != nil {
		return errors.Join(err, g.Discard())
	}
	return errors.Join(s.replace(ctx, g, s.dirs[storedirs.Fix]), g.Discard())
}
