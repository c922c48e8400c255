// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/leases"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/trash"
	"github.com/layerctl/layerctl/overlaystore/internal/partial"
	"github.com/layerctl/layerctl/overlaystore/internal/sweep"
)

// PruneOptions say what to prune. The zero value removes what nothing needs:
// images without a reference, and layers and fix layers of no image.
type PruneOptions struct {
	// DryRun removes nothing and reports what would go.
	DryRun bool
	// OlderThan spares what was used or made more recently; 0 spares nothing.
	OlderThan time.Duration
	// Partial removes also the layers of interrupted pulls that are younger than
	// a day, for which the next pull may come.
	Partial bool
	// KeepStorage makes room: while the layers take more than so many bytes
	// the image that was unused for longest goes, referenced or not. 0 means
	// no limit, and less than 0 that nothing is kept.
	KeepStorage int64
}

// Pruned is what was removed, or would be.
type Pruned struct {
	Images []Image // with the references that they had
	Layers []digest.Digest
	Fixes  []digest.Digest
	Bytes  int64 // of file contents
	// Left is the same of what processes that died have left, and Partial of
	// layers of interrupted pulls.
	Left, Partial int64
}

// Prune removes what nothing needs: no image that stays, no lease, no mount,
// no layer that is being fetched. It waits for moments only, and what other
// processes do at the same time is safe. What is removed is first moved away,
// durably, so that a power cut leaves each thing whole or gone.
func (s *Store) Prune(ctx context.Context, o PruneOptions) (Pruned, error) {
	p := &prune{s: s, o: o, now: time.Now()}
	if err := p.run(ctx); err != nil {
		return p.done, fmt.Errorf("prune %s: %w", s.path, err)
	}
	return p.done, nil
}

type prune struct {
	s       *Store
	o       PruneOptions
	now     time.Time
	done    Pruned
	sweep   sweep.Sweep
	trashed []string
}

func (p *prune) run(ctx context.Context) (err error) {
	if p.done.Left, err = p.s.leftovers().Bytes(ctx); err != nil {
		return err
	}
	unlock, err := p.s.exclude(ctx)
	if err != nil {
		return err
	}
	err = p.clear(ctx)
	if err := errors.Join(err, unlock()); err != nil {
		return err
	}
	// Slowly, and with nobody waiting.
	for _, name := range p.trashed {
		if err := p.s.leftovers().Empty(ctx, name); err != nil {
			return err
		}
	}
	if err := p.partials(ctx); err != nil || p.o.DryRun {
		return err
	}
	return p.s.reap(ctx)
}

// partials removes the layers of interrupted pulls that nobody came for, or
// that somebody brought.
func (p *prune) partials(ctx context.Context) error {
	return p.s.partials().Each(ctx, func(f partial.Found) bool {
		old := p.now.Sub(f.Made) >= max(PartialAge, p.o.OlderThan)
		has, err := p.s.HasLayer(f.ID)
		if err != nil || !has && !old && !p.o.Partial {
			return false
		}
		p.done.Partial += f.Bytes
		return !p.o.DryRun
	})
}

// clear runs with the store for itself. The order keeps every reference and
// every image whole at each moment: references go first, then the images that
// they named, then the layers.
func (p *prune) clear(ctx context.Context) (err error) {
	images, err := p.look(ctx)
	if err != nil {
		return err
	}
	records := p.drop(images)
	refs, err := p.refs()
	if err != nil {
		return err
	}
	gone := p.unneeded()
	if p.o.DryRun {
		return nil
	}
	p.sweep.Redate(gone, func(manifest digest.Digest, t time.Time) {
		p.date(p.s.dirs[storedirs.Images], manifest.Encoded()+jsonSuffix, t)
	}, func(path string, t time.Time) { p.date(p.s.root, path, t) })
	for _, dir := range []string{storedirs.Images, storedirs.Refs} {
		if err := trash.RemoveTemps(ctx, p.s.dirs[dir]); err != nil {
			return err
		}
	}
	if err := trash.RemoveFiles(ctx, p.s.dirs[storedirs.Refs], refs); err != nil {
		return err
	}
	if err := trash.RemoveFiles(ctx, p.s.dirs[storedirs.Images], records); err != nil {
		return err
	}
	if p.trashed, err = trash.MoveAll(ctx, p.s.root, gone, p.s.dirs[storedirs.Trash]); err != nil {
		return err
	}
	return p.dropLinks(ctx)
}

// look reads what there is and who uses it.
func (p *prune) look(ctx context.Context) (images []Image, err error) {
	if images, err = p.s.Images(); err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	leased, err := leases.Living(ctx, p.s.dirs[storedirs.Leases])
	if err != nil {
		return nil, err
	}
	p.sweep = sweep.Sweep{Now: p.now, OlderThan: p.o.OlderThan, KeepStorage: p.o.KeepStorage}
	if p.sweep.InUse, err = p.s.mountedDirs(ctx); err != nil {
		return nil, err
	}
	for diffID := range leased {
		p.sweep.InUse[diffID.Encoded()] = true
	}
	p.sweep.Images = sweepImages(images)
	p.sweep.Sizes, err = p.s.sizes()
	return images, err
}

// sweepImages are the images and their directories.
func sweepImages(images []Image) (list []sweep.Image) {
	for _, img := range images {
		dirs := map[string]bool{}
		addDirs(dirs, img)
		list = append(list, sweep.Image{Manifest: img.Manifest, Dirs: dirs, Referenced: len(img.Refs) > 0, Used: img.Used})
	}
	return list
}

// sizes are those of all directories that layers may be in, by their paths.
func (s *Store) sizes() (map[string]sweep.Size, error) {
	m := sweep.Measurer{Root: s.root, FixDir: storedirs.Fix, FixPrefix: fixPrefix, Bytes: func(dir *os.File) int64 {
		rec, _ := ReadRecord(dir)
		return rec.DiskSize
	}}
	return m.Measure(storedirs.Layers, storedirs.Fix, storedirs.Unsynced+"/"+s.boot)
}

// drop picks the images to drop, and returns the names of the files of their
// records.
func (p *prune) drop(images []Image) (records []string) {
	for _, manifest := range p.sweep.Drop() {
		records = append(records, manifest.Encoded()+jsonSuffix)
		i := slices.IndexFunc(images, func(img Image) bool { return img.Manifest == manifest })
		p.done.Images = append(p.done.Images, images[i])
	}
	return records
}

// refs are the files of the references to what is dropped.
func (p *prune) refs() ([]string, error) {
	gone := map[digest.Digest]bool{}
	for _, img := range p.done.Images {
		gone[img.Manifest] = true
	}
	return p.s.imageRefs().Unneeded(gone)
}

func (p *prune) date(dir *os.File, path string, t time.Time) {
	ts := []unix.Timespec{unix.NsecToTimespec(t.UnixNano()), unix.NsecToTimespec(t.UnixNano())}
	if err := unix.UtimesNanoAt(int(dir.Fd()), path, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		p.s.log.Debug("date back what a clock that was ahead has made", "path", path, "error", err)
	}
}

// unneeded lists the directories to remove and notes them as done.
func (p *prune) unneeded() []string {
	gone := p.sweep.Unneeded()
	for _, path := range gone {
		z := p.sweep.Sizes[path]
		p.done.Bytes += z.Bytes
		if z.Fix {
			p.done.Fixes = append(p.done.Fixes, z.ID)
		} else {
			p.done.Layers = append(p.done.Layers, z.ID)
		}
	}
	return gone
}

// dropLinks removes the links that lead nowhere, but for one that keeps its
// number from being given again.
func (p *prune) dropLinks(ctx context.Context) error {
	stale, err := p.s.links().Stale(p.s.root)
	if err != nil {
		return err
	}
	return trash.RemoveFiles(ctx, p.s.dirs[storedirs.Links], stale)
}
