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
	// Partial also removes layers of interrupted pulls that are younger than
	// [PartialAge], which the next pull might use.
	Partial bool
	// KeepStorage also removes images with references, the one unused for longest
	// first, until the layers take no more than so many bytes. 0 removes none, and
	// a negative number all.
	KeepStorage int64
}

// Pruned is what was removed, or would be.
type Pruned struct {
	Images []Image // with the references that they had
	Layers []digest.Digest
	Fixes  []digest.Digest
	Bytes  int64 // of file contents
	// Left is the bytes that processes that died had left, and Partial those of
	// layers of interrupted pulls.
	Left, Partial int64
}

// Prune removes the layers that no remaining image, no lease, no mount and no
// running pull needs. It waits for other processes only for moments, and does no
// harm to what they do meanwhile. Each directory is first moved to the trash,
// durably, so that a power cut leaves it whole or gone.
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
	// Removing files takes long, and nobody has to wait for it.
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

// partials removes layers of interrupted pulls that are old, or that are in the
// store by now.
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

// clear must run under [Store.exclude]. It removes references first, then the images
// that they named, then layers, so that no reference and no image ever names
// something that is gone.
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

// look lists the images, and what is in use.
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

// sweepImages returns the images with the names of their directories.
func sweepImages(images []Image) (list []sweep.Image) {
	for _, img := range images {
		dirs := map[string]bool{}
		addDirs(dirs, img)
		list = append(list, sweep.Image{Manifest: img.Manifest, Dirs: dirs, Referenced: len(img.Refs) > 0, Used: img.Used})
	}
	return list
}

// sizes returns the sizes of all layers and fix layers by their paths under the
// store.
func (s *Store) sizes() (map[string]sweep.Size, error) {
	m := sweep.Measurer{Root: s.root, FixDir: storedirs.Fix, FixPrefix: fixPrefix, Bytes: func(dir *os.File) int64 {
		rec, _ := ReadRecord(dir)
		return rec.DiskSize
	}}
	return m.Measure(storedirs.Layers, storedirs.Fix, storedirs.Unsynced+"/"+s.boot)
}

// drop picks the images to remove, and returns the file names of their records.
func (p *prune) drop(images []Image) (records []string) {
	for _, manifest := range p.sweep.Drop() {
		records = append(records, manifest.Encoded()+jsonSuffix)
		i := slices.IndexFunc(images, func(img Image) bool { return img.Manifest == manifest })
		p.done.Images = append(p.done.Images, images[i])
	}
	return records
}

// refs returns the file names of the references to the images that are removed.
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

// unneeded returns the directories to remove, and adds them to the result.
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

// dropLinks removes short links that lead nowhere, but keeps the one with the
// highest number, so that no number is used again.
func (p *prune) dropLinks(ctx context.Context) error {
	stale, err := p.s.links().Stale(p.s.root)
	if err != nil {
		return err
	}
	return trash.RemoveFiles(ctx, p.s.dirs[storedirs.Links], stale)
}
