// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/leases"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/trash"
)

// PruneOptions say what to prune. The zero value removes what nothing needs:
// images without a reference, and layers and fix layers of no image.
type PruneOptions struct {
	// DryRun removes nothing and reports what would go.
	DryRun bool
	// OlderThan spares what was used or made more recently; 0 spares nothing.
	OlderThan time.Duration
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
	// Left is the same of what processes that died have left.
	Left int64
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
	s    *Store
	o    PruneOptions
	now  time.Time
	done Pruned

	images  []Image         // that stay
	sizes   map[string]size // of directories in layers/ and fix/, by name
	inUse   map[string]bool // by leases and mounts
	trashed []string
}

// size is what is known of one directory.
type size struct {
	bytes int64
	made  time.Time
	fix   bool
	id    digest.Digest
}

func (p *prune) run(ctx context.Context) (err error) {
	if p.done.Left, err = p.s.leftovers().Bytes(ctx); err != nil {
		return err
	}
	unlock, err := p.s.exclude(ctx)
	if err != nil {
		return err
	}
	err = p.sweep(ctx)
	if err := errors.Join(err, unlock()); err != nil {
		return err
	}
	// Slowly, and with nobody waiting.
	for _, name := range p.trashed {
		if err := p.s.leftovers().Empty(ctx, name); err != nil {
			return err
		}
	}
	if p.o.DryRun {
		return nil
	}
	return p.s.reap(ctx)
}

// sweep runs with the store for itself. The order keeps every reference and
// every image whole at each moment: references go first, then the images that
// they named, then the layers.
func (p *prune) sweep(ctx context.Context) (err error) {
	if err := p.look(ctx); err != nil {
		return err
	}
	images := p.choose()
	refs, err := p.refs()
	if err != nil {
		return err
	}
	gone := p.unneeded()
	if p.o.DryRun {
		return nil
	}
	p.datesBack(gone)
	for _, dir := range []string{storedirs.Images, storedirs.Refs} {
		if err := trash.RemoveTemps(ctx, p.s.dirs[dir]); err != nil {
			return err
		}
	}
	if err := p.remove(ctx, storedirs.Refs, refs); err != nil {
		return err
	}
	if err := p.remove(ctx, storedirs.Images, images); err != nil {
		return err
	}
	if p.trashed, err = trash.MoveAll(ctx, p.s.root, gone, p.s.dirs[storedirs.Trash]); err != nil {
		return err
	}
	return p.dropLinks(ctx)
}

// look reads what there is and who uses it.
func (p *prune) look(ctx context.Context) (err error) {
	if p.images, err = p.s.Images(); err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	leased, err := leases.Living(ctx, p.s.dirs[storedirs.Leases])
	if err != nil {
		return err
	}
	if p.inUse, err = p.s.mountedDirs(ctx); err != nil {
		return err
	}
	for diffID := range leased {
		p.inUse[diffID.Encoded()] = true
	}
	p.sizes = map[string]size{}
	return p.measure()
}

// measure reads the sizes of all directories that layers may be in.
func (p *prune) measure() error {
	for _, dir := range []string{storedirs.Layers, storedirs.Fix, storedirs.Unsynced + "/" + p.s.boot} {
		err := p.measureIn(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (p *prune) measureIn(rel string) error {
	dir, err := durable.OpenDirAt(p.s.root, rel)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := fsat.Names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		st, err := fsat.Lstat(dir, name)
		if err != nil {
			return err
		}
		hex, fix := strings.CutPrefix(name, fixPrefix)
		z := size{made: time.Unix(st.Mtim.Unix()), fix: fix || rel == storedirs.Fix, id: digest.NewDigestFromEncoded(digest.SHA256, hex)}
		// A layer without a record can be removed as well.
		if f, err := durable.OpenDirAt(dir, name); err == nil {
			rec, _ := readRecord(f)
			z.bytes = rec.DiskSize
			f.Close()
		}
		p.sizes[rel+"/"+name] = z
	}
	return nil
}

// choose picks the images to drop, and returns the names of the files of their
// records.
func (p *prune) choose() (records []string) {
	drop := func(i int) {
		img := p.images[i]
		records = append(records, img.Manifest.Encoded()+jsonSuffix)
		p.done.Images = append(p.done.Images, img)
		p.images = slices.Delete(p.images, i, i+1)
	}
	for i := len(p.images) - 1; i >= 0; i-- {
		if len(p.images[i].Refs) == 0 && p.free(p.images[i]) {
			drop(i)
		}
	}
	if p.o.KeepStorage == 0 {
		return records
	}
	slices.SortStableFunc(p.images, func(a, b Image) int { return b.Used.Compare(a.Used) })
	for i := len(p.images) - 1; i >= 0 && p.kept() > max(p.o.KeepStorage, 0); i-- {
		if p.free(p.images[i]) {
			drop(i)
		}
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

// free reports whether nobody uses an image, and nobody has lately.
func (p *prune) free(img Image) bool {
	dirs := map[string]bool{}
	addDirs(dirs, img)
	for name := range dirs {
		if p.inUse[name] {
			return false
		}
	}
	return p.old(img.Used)
}

// old bounds an age: what is of a later time than now, for the clock was ahead,
// is as good as of now.
func (p *prune) old(t time.Time) bool { return max(p.now.Sub(t), 0) >= p.o.OlderThan }

// datesBack gives what has a later time than now the time of now, in the order
// of use, so that it grows old as other things do.
func (p *prune) datesBack(gone []string) {
	slices.SortStableFunc(p.images, func(a, b Image) int { return b.Used.Compare(a.Used) })
	for i, img := range p.images {
		if img.Used.After(p.now) {
			p.date(p.s.dirs[storedirs.Images], img.Manifest.Encoded()+jsonSuffix, p.now.Add(-time.Duration(i)*time.Millisecond))
		}
	}
	for path, z := range p.sizes {
		if z.made.After(p.now) && !slices.Contains(gone, path) {
			p.date(p.s.root, path, p.now)
		}
	}
}

func (p *prune) date(dir *os.File, path string, t time.Time) {
	ts := []unix.Timespec{unix.NsecToTimespec(t.UnixNano()), unix.NsecToTimespec(t.UnixNano())}
	if err := unix.UtimesNanoAt(int(dir.Fd()), path, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		p.s.log.Debug("date back what a clock that was ahead has made", "path", path, "error", err)
	}
}

// needed are the directories that something which stays is made of.
func (p *prune) needed() map[string]bool {
	needed := maps.Clone(p.inUse)
	for _, img := range p.images {
		addDirs(needed, img)
	}
	return needed
}

// kept is what the layers take that stay.
func (p *prune) kept() int64 {
	needed := p.needed()
	var total int64
	for _, z := range p.sizes {
		if needed[z.id.Encoded()] {
			total += z.bytes
		}
	}
	return total
}

// unneeded lists the directories to remove and notes them as done.
func (p *prune) unneeded() []string {
	needed := p.needed()
	var gone []string
	for _, path := range slices.Sorted(maps.Keys(p.sizes)) {
		z := p.sizes[path]
		if needed[z.id.Encoded()] || !p.old(z.made) {
			continue
		}
		gone = append(gone, path)
		p.done.Bytes += z.bytes
		if z.fix {
			p.done.Fixes = append(p.done.Fixes, z.id)
		} else {
			p.done.Layers = append(p.done.Layers, z.id)
		}
	}
	return gone
}

func (p *prune) remove(ctx context.Context, dir string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if err := durable.Remove(ctx, p.s.dirs[dir], name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(ctx, p.s.dirs[dir])
}

// dropLinks removes the links that lead nowhere, but for one that keeps its
// number from being given again.
func (p *prune) dropLinks(ctx context.Context) error {
	stale, err := p.s.links().Stale(p.s.root)
	if err != nil {
		return err
	}
	return p.remove(ctx, storedirs.Links, stale)
}
