// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Mounted is a live mount of an image of a store.
type Mounted struct {
	Target   string
	Source   string
	Manifest digest.Digest // of the image, "" when the store does not know it
	PID      string        // a process that sees it, "self" for the caller
	Writable bool
	Upper    string   // the upper dir, "" when read-only
	Volatile bool     // nothing that is written is synced
	Flags    []string // of the mount point, such as "nosuid"
}

// mounted describes a mount of this store's.
func (ix *mountIndex) mounted(e mountEntry, pid string) Mounted {
	ro := slices.Contains(e.options, "ro") || slices.Contains(e.superOptions, "ro")
	upper := e.upper()
	if pair := ix.pairOf(e); pair != "" {
		upper = filepath.Join(ix.path, writableDir, pair, "upper")
	}
	return Mounted{
		Target: e.target, Source: e.source, Manifest: ix.use(e).manifest, PID: pid, Writable: !ro, Upper: upper,
		// Newer kernels show fsync=volatile.
		Volatile: slices.Contains(e.superOptions, "volatile") || e.option("fsync") == "volatile",
		Flags:    e.options,
	}
}

// Mounts lists the mounts of this store's images, also those that other
// programs made from a printed line, in every mount namespace that the caller
// may look into.
func (s *Store) Mounts() ([]Mounted, error) {
	ix, err := s.mountIndex()
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var list []Mounted
	err = everyMount(func(proc string, e mountEntry) {
		if u := ix.use(e); u.ours {
			list = append(list, ix.mounted(e, proc))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return list, nil
}

// MountedAt tells whether the topmost mount at target, in the caller's mount
// namespace, is one of this store's images.
func (s *Store) MountedAt(target string) (Mounted, bool, error) {
	target, err := filepath.Abs(target)
	if err != nil {
		return Mounted{}, false, err
	}
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real
	}
	e, ix, ok, err := s.mountedAt(target)
	if err != nil || !ok {
		return Mounted{}, false, err
	}
	return ix.mounted(e, "self"), true, nil
}

// mountedAt is MountedAt for an absolute path without symbolic links.
func (s *Store) mountedAt(target string) (mountEntry, *mountIndex, bool, error) {
	e, err := mountAt(target)
	if errors.Is(err, ErrNotFound) {
		return e, nil, false, nil
	}
	if err != nil {
		return e, nil, false, err
	}
	ix, err := s.mountIndex()
	if err != nil {
		return e, nil, false, err
	}
	return e, ix, ix.use(e).ours, nil
}

// everyMount calls f for the overlay mounts of every mount namespace that
// /proc shows, the caller's first.
func everyMount(f func(proc string, e mountEntry)) error {
	procs := []string{"self"}
	list, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, d := range list {
		if _, err := strconv.Atoi(d.Name()); err == nil {
			procs = append(procs, d.Name())
		}
	}
	seen := map[string]bool{}
	for _, proc := range procs {
		// A process that ends meanwhile, or is another user's, shows nothing.
		ns, err := mountNamespace(proc)
		if proc != "self" && (err != nil || seen[ns]) {
			continue
		}
		seen[ns] = true
		mounts, err := readMounts(proc)
		if proc == "self" && err != nil {
			return err
		}
		for _, e := range mounts {
			if e.fsType == overlayType {
				f(proc, e)
			}
		}
	}
	return everyFUSEMount(f)
}

// mountNamespace tells mount namespaces apart. The caller may not look at that
// of its own process in another user namespace beside its own, as two shells
// of "layerctl unshare" are, but it may read the mounts; their ids are the
// machine's, so the first one tells as much.
func mountNamespace(proc string) (string, error) {
	dir := "/proc/" + proc
	ns, err := os.Readlink(dir + "/ns/mnt")
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return ns, err
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", err
	}
	// What belongs to an id that the caller's namespace has not shows as the
	// overflow uid's (user_namespaces(7)): another user's.
	const overflow = 65534
	if euid := os.Geteuid(); int(st.Uid) != euid && (euid != 0 || st.Uid == overflow) {
		return "", err
	}
	f, err := os.Open(dir + "/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	id, err := bufio.NewReader(f).ReadString(' ')
	return "mount " + id, err
}

// mountIndex is what is needed to recognise a mount.
type mountIndex struct {
	path   string            // of the store
	links  map[string]string // number to what it leads to, under the store
	images []Image
	// whole is true where every image's record could be read.
	whole bool
}

func (s *Store) mountIndex() (*mountIndex, error) {
	byTarget, _, err := s.readLinks()
	if err != nil {
		return nil, err
	}
	// As the kernel shows it, with no symbolic link in it.
	path, err := os.Readlink(procPath(s.root))
	if err != nil {
		return nil, err
	}
	ix := &mountIndex{path: path, links: map[string]string{}}
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

// use recognises a mount by its layers or, where the kernel shows none, by its
// source. Relative names could be those in another store's l/ as well: such a
// mount is in doubt, so it is not ours to unmount, but its layers are not ours
// to remove either.
func (ix *mountIndex) use(e mountEntry) mountUse {
	if e.fsType != overlayType && e.fsType != fuseType {
		return mountUse{}
	}
	u := mountUse{manifest: ix.bySource(e.source)}
	elsewhere, stranger := false, ix.stranger(e.source)
	for _, dir := range e.lower() {
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
	return top == layersDir || top == fixDir || top == linksDir || top == unsyncedDir
}

// rel is where a lower dir, as the kernel shows it, is under the store.
func (ix *mountIndex) rel(dir string) (rel string, inside bool) {
	if below, ok := strings.CutPrefix(dir, ix.path+"/"); ok {
		if name, ok := strings.CutPrefix(below, linksDir+"/"); ok {
			below = ix.links[name]
		}
		return strings.TrimSuffix(below, "/"+fsDir), true
	}
	if target, ok := ix.links[strings.TrimPrefix(dir, linksDir+"/")]; ok {
		return strings.TrimSuffix(target, "/"+fsDir), false
	}
	// Seen through a bind mount or from another root the path is another, but
	// its end is the same.
	parts := strings.Split(dir, "/")
	if n := len(parts); n >= 3 && parts[n-1] == fsDir && len(parts[n-2]) == digest.SHA256.Size()*2 {
		return path.Join(parts[n-3], parts[n-2]), false
	}
	return "", false
}

// stranger reports whether a mount is of an image that this store does not
// have: another store's, whatever its relative names could mean here. An image
// that is mounted keeps its record, so a store knows its own.
func (ix *mountIndex) stranger(source string) bool {
	name, ok := strings.CutPrefix(source, sourcePrefix)
	id := name[strings.LastIndex(name, "@")+1:]
	isID := len(id) == sourceDigits && strings.Trim(id, "0123456789abcdef") == ""
	return ix.whole && ok && isID && ix.bySource(source) == ""
}

func (ix *mountIndex) bySource(source string) digest.Digest {
	name, ok := strings.CutPrefix(source, sourcePrefix)
	if !ok {
		return ""
	}
	id := name[strings.LastIndex(name, "@")+1:]
	i := slices.IndexFunc(ix.images, func(img Image) bool {
		return len(id) == sourceDigits && strings.HasPrefix(img.Manifest.Encoded(), id)
	})
	if i < 0 {
		return ""
	}
	return ix.images[i].Manifest
}
