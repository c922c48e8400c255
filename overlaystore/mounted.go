// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Mounted is a live mount of an image of a store.
type Mounted struct {
	Target   string
	Source   string
	Type     string        // of the filesystem, as mountinfo shows it
	Manifest digest.Digest // of the image, "" when the store does not know it
	PID      string        // a process that sees it, "self" for the caller
	Writable bool
	Upper    string   // the upper dir, "" when read-only
	Volatile bool     // nothing that is written is synced
	Flags    []string // of the mount point, such as "nosuid"
}

// mounted describes a mount of this store's.
func (ix *mountIndex) mounted(e mounts.Entry, pid string, u mountUse) Mounted {
	upper := e.Upper()
	if strings.HasPrefix(upper, "../") { // seen from l/, as in a printed line
		upper = filepath.Join(ix.path, storedirs.Links, upper)
	}
	return Mounted{
		Target: e.Target, Source: e.Source, Type: e.Type, Manifest: u.manifest, PID: pid, Writable: !e.ReadOnly(), Upper: upper,
		// Newer kernels show fsync=volatile.
		Volatile: slices.Contains(e.SuperOptions, "volatile") || e.Option("fsync") == "volatile",
		Flags:    e.Options,
	}
}

// Mounts lists the mounts of this store's images, also those that other
// programs made from a printed line, in every mount namespace that the caller
// may look into.
func (s *Store) Mounts(ctx context.Context) ([]Mounted, error) {
	ix, err := s.mountIndex()
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var list []Mounted
	err = mounts.Each(ctx, func(proc string, e mounts.Entry) {
		if u := ix.use(ctx, proc, e); u.ours {
			list = append(list, ix.mounted(e, proc, u))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return list, nil
}

// MountedAt tells whether the topmost mount at target, in the caller's mount
// namespace, is one of this store's images.
func (s *Store) MountedAt(ctx context.Context, target string) (Mounted, bool, error) {
	target, err := filepath.Abs(target)
	if err != nil {
		return Mounted{}, false, err
	}
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real
	}
	e, ok, err := mounts.At(ctx, target)
	if err != nil || !ok {
		return Mounted{}, false, err
	}
	ix, err := s.mountIndex()
	if err != nil || !ix.use(ctx, "self", e).ours {
		return Mounted{}, false, err
	}
	return ix.mounted(e, "self", ix.use(ctx, "self", e)), true, nil
}

// mountIndex is what is needed to recognise a mount.
type mountIndex struct {
	path   string            // of the store
	links  map[string]string // number to what it leads to, under the store
	images []Image
	// whole is true where every image's record could be read.
	whole bool
	tops  map[mounts.Identity]bool // see has
	log   *slog.Logger
}

func (s *Store) mountIndex() (*mountIndex, error) {
	byTarget, _, err := s.readLinks()
	if err != nil {
		return nil, err
	}
	// As the kernel shows it, with no symbolic link in it.
	path, err := s.RealPath()
	if err != nil {
		return nil, err
	}
	ix := &mountIndex{path: path, log: s.log, links: map[string]string{}}
	for target, name := range byTarget {
		ix.links[name] = strings.TrimPrefix(target, "../")
	}
	ix.images, err = s.Images()
	ix.whole = err == nil
	if errors.Is(err, ErrDamaged) {
		err = nil // a record that cannot be read recognises no mount
	}
	return ix, err
}

// mountUse is what a mount uses of a store.
type mountUse struct {
	ours     bool // it is this store's, without a doubt
	manifest digest.Digest
	dirs     []string // under the store, such as "layers/<hex>"; with another store's where in doubt
}

// use is what a mount uses of the store. A user may name his own mounts and
// directories as he likes: of a mount that another user may have made only the
// root counts, when it is a directory of the store.
func (ix *mountIndex) use(ctx context.Context, proc string, e mounts.Entry) mountUse {
	u := ix.claimed(e)
	if !u.ours && len(u.dirs) == 0 {
		return u
	}
	uid, err := mounts.Owner(proc, e)
	if err == nil && uid == os.Geteuid() {
		return u
	}
	if id, ok := mounts.Root(ctx, proc, e); ok && ix.has(id) {
		return u
	}
	ix.log.Warn("a mount of another user names layers of this store and shows none of them", "target", e.Target, "process", proc, "uid", uid)
	return mountUse{}
}

// has reports whether a directory is one that overlays of this store have on
// top: a layer, or an upper dir in writable/.
func (ix *mountIndex) has(id mounts.Identity) bool {
	if ix.tops == nil {
		ix.tops = map[mounts.Identity]bool{}
		pairs, _ := os.ReadDir(filepath.Join(ix.path, "writable"))
		for _, pair := range pairs {
			if top, err := mounts.IdentityOf(filepath.Join(ix.path, "writable", pair.Name(), "upper")); err == nil {
				ix.tops[top] = true
			}
		}
		for _, dir := range ix.links {
			// One that is gone is in no use that matters.
			if top, err := mounts.IdentityOf(filepath.Join(ix.path, dir)); err == nil {
				ix.tops[top] = true
			}
		}
	}
	return ix.tops[id]
}

// claimed recognises a mount by its layers or, where the kernel shows none, by its
// source. Relative names could be those in another store's l/ as well: such a
// mount is in doubt, so it is not ours to unmount, but its layers are not ours
// to remove either.
func (ix *mountIndex) claimed(e mounts.Entry) mountUse {
	if e.Type != mounts.OverlayType && e.Type != mounts.FUSEType {
		return mountUse{}
	}
	u := mountUse{manifest: ix.bySource(e.Source)}
	elsewhere, stranger := false, ix.stranger(e.Source)
	for _, dir := range e.Lower() {
		rel, inside := ix.rel(dir)
		if stranger && !inside {
			continue
		}
		u.ours = u.ours || inside
		elsewhere = elsewhere || !inside && len(dir) > 1 && dir[0] == '/' && !belowClone(dir)
		if rel != "" {
			u.dirs = append(u.dirs, rel)
		}
	}
	// Another store can hold the same image; its path tells.
	u.ours = u.ours || u.manifest != "" && !elsewhere
	return u
}

// belowClone reports whether a lower dir was seen from a mount of the store's
// own directory that is attached nowhere: the kernel shows it as if the store
// were the root. Which store's it is, only the source tells then.
func belowClone(dir string) bool {
	top, _, _ := strings.Cut(strings.TrimPrefix(dir, "/"), "/")
	return top == storedirs.Layers || top == storedirs.Fix || top == storedirs.Links || top == storedirs.Unsynced
}

// rel is where a lower dir, as the kernel shows it, is under the store.
func (ix *mountIndex) rel(dir string) (rel string, inside bool) {
	if below, ok := strings.CutPrefix(dir, ix.path+"/"); ok {
		if name, ok := strings.CutPrefix(below, storedirs.Links+"/"); ok {
			below = ix.links[name]
		}
		return strings.TrimSuffix(below, "/"+storedirs.LowerDir), true
	}
	if target, ok := ix.links[strings.TrimPrefix(dir, storedirs.Links+"/")]; ok {
		return strings.TrimSuffix(target, "/"+storedirs.LowerDir), false
	}
	// Seen through a bind mount or from another root the path is another, but
	// its end is the same.
	parts := strings.Split(dir, "/")
	if n := len(parts); n >= 3 && parts[n-1] == storedirs.LowerDir && len(parts[n-2]) == digest.SHA256.Size()*2 {
		return path.Join(parts[n-3], parts[n-2]), false
	}
	return "", false
}

// stranger reports whether a mount is of an image that this store does not
// have: another store's, whatever its relative names could mean here. An image
// that is mounted keeps its record, so a store knows its own.
func (ix *mountIndex) stranger(source string) bool {
	_, known := mounts.SourceDigits(source)
	return ix.whole && known && ix.bySource(source) == ""
}

func (ix *mountIndex) bySource(source string) digest.Digest {
	id, ok := mounts.SourceDigits(source)
	if !ok {
		return ""
	}
	i := slices.IndexFunc(ix.images, func(img Image) bool { return strings.HasPrefix(img.Manifest.Encoded(), id) })
	if i < 0 {
		return ""
	}
	return ix.images[i].Manifest
}
