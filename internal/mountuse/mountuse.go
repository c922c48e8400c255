// SPDX-License-Identifier: Apache-2.0

// Package mountuse tells which mounts use a store, and what of it: by the lower
// dirs that the kernel shows of a mount, by its source, and by its root.
package mountuse

import (
	"context"
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

// Index is what is needed to recognise a mount of a store. It is for one
// goroutine at a time.
type Index struct {
	// Path is the store's, as the kernel shows it.
	Path string
	// Links are the short links: number to what it leads to, under the store.
	Links map[string]string
	// Manifests are those of the images of the store.
	Manifests []digest.Digest
	// Chains are the directories in fix/ and the manifests of an image with each.
	Chains map[string]digest.Digest
	// Whole is true where every image's record could be read.
	Whole bool
	// Logger hears of mounts that name layers and show none of them.
	Logger *slog.Logger

	tops map[mounts.Identity]bool // see has
}

// Use is what a mount uses of a store.
type Use struct {
	Ours     bool // it is this store's, without a doubt
	Manifest digest.Digest
	Dirs     []string // under the store, such as "layers/<hex>"; with another store's where in doubt
}

// Use is what a mount uses of the store. A user may name his own mounts and
// directories as he likes: of a mount that another user may have made only the
// root counts, when it is a directory of the store.
func (ix *Index) Use(ctx context.Context, proc string, e mounts.Entry) Use {
	u := ix.claimed(e)
	if !u.Ours && len(u.Dirs) == 0 {
		return u
	}
	uid, err := mounts.Owner(proc, e)
	if err == nil && uid == os.Geteuid() {
		return u
	}
	if id, ok := mounts.Root(ctx, proc, e); ok && ix.has(id) {
		return u
	}
	ix.Logger.Warn("a mount of another user names layers of this store and shows none of them", "target", e.Target, "process", proc, "uid", uid)
	return Use{}
}

// has reports whether a directory is one that overlays of this store have on
// top: a layer, or an upper dir in writable/.
func (ix *Index) has(id mounts.Identity) bool {
	if ix.tops == nil {
		ix.tops = map[mounts.Identity]bool{}
		pairs, _ := os.ReadDir(filepath.Join(ix.Path, "writable"))
		for _, pair := range pairs {
			if top, err := mounts.IdentityOf(filepath.Join(ix.Path, "writable", pair.Name(), "upper")); err == nil {
				ix.tops[top] = true
			}
		}
		for _, dir := range ix.Links {
			// One that is gone is in no use that matters.
			if top, err := mounts.IdentityOf(filepath.Join(ix.Path, dir)); err == nil {
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
func (ix *Index) claimed(e mounts.Entry) Use {
	if e.Type == mounts.EROFSType || e.Type == mounts.EROFSFUSEType {
		return ix.index(e.Source)
	}
	if e.Type != mounts.OverlayType && e.Type != mounts.FUSEType {
		return Use{}
	}
	u := Use{Manifest: ix.bySource(e.Source)}
	elsewhere, stranger := false, ix.stranger(e.Source)
	for _, dir := range e.Lower() {
		rel, inside := ix.rel(dir)
		if stranger && !inside {
			continue
		}
		u.Ours = u.Ours || inside
		elsewhere = elsewhere || !inside && len(dir) > 1 && dir[0] == '/' && !belowClone(dir)
		if rel != "" {
			u.Dirs = append(u.Dirs, rel)
		}
	}
	// Another store can hold the same image; its path tells.
	u.Ours = u.Ours || u.Manifest != "" && !elsewhere
	return u
}

// index recognises the mount of an index by its file, or by that of its loop
// device.
func (ix *Index) index(source string) Use {
	if name, isLoop := strings.CutPrefix(source, "/dev/loop"); isLoop {
		file, _ := os.ReadFile("/sys/block/loop" + name + "/loop/backing_file")
		source = strings.TrimSpace(string(file))
	}
	dir, file := path.Split(source)
	name := strings.TrimPrefix(path.Base(dir), "fix-")
	digits, ok := storedirs.IndexDigits(file)
	if !ok || len(name) != digest.SHA256.Size()*2 {
		return Use{}
	}
	u := Use{Ours: strings.HasPrefix(dir, ix.Path+"/"), Dirs: []string{path.Join(storedirs.Fix, name)}}
	if !u.Ours {
		return u
	}
	if u.Manifest = ix.byDigits(digits); u.Manifest == "" {
		u.Manifest = ix.Chains[name]
	}
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
func (ix *Index) rel(dir string) (rel string, inside bool) {
	if below, ok := strings.CutPrefix(dir, ix.Path+"/"); ok {
		if name, ok := strings.CutPrefix(below, storedirs.Links+"/"); ok {
			below = ix.Links[name]
		}
		return strings.TrimSuffix(below, "/"+storedirs.LowerDir), true
	}
	if target, ok := ix.Links[strings.TrimPrefix(dir, storedirs.Links+"/")]; ok {
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
func (ix *Index) stranger(source string) bool {
	_, known := mounts.SourceDigits(source)
	return ix.Whole && known && ix.bySource(source) == ""
}

func (ix *Index) bySource(source string) digest.Digest {
	id, ok := mounts.SourceDigits(source)
	if !ok {
		return ""
	}
	return ix.byDigits(id)
}

// byDigits is the manifest that begins with them, or "".
func (ix *Index) byDigits(id string) digest.Digest {
	i := slices.IndexFunc(ix.Manifests, func(manifest digest.Digest) bool { return id != "" && strings.HasPrefix(manifest.Encoded(), id) })
	if i < 0 {
		return ""
	}
	return ix.Manifests[i]
}
