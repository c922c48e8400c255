// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// lowers are two stores, one of directories and one of tars, into which each
// layer of the cases that becomes a tree is put: what they show is equal.
type lowers struct {
	dir string
	of  map[layer.Lower]*overlaystore.Store
}

// newLowers makes the stores on a disk, where the kernel mounts tars from files.
// It is nil in short and for ordinary users, who have no store of tars.
func newLowers(t *testing.T) *lowers {
	t.Helper()
	if !full() || os.Geteuid() != 0 {
		return nil
	}
	layertest.NeedsMount(t)
	l := &lowers{disktest.New(t, 128<<20, "mkfs.ext4", "-q").Dir, map[layer.Lower]*overlaystore.Store{}}
	for _, lower := range []layer.Lower{layer.Directories, layer.Tars} {
		s, err := overlaystore.Open(t.Context(), filepath.Join(l.dir, string(lower)), overlaystore.Options{Lower: lower, NoSync: true, Reserve: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		l.of[lower] = s
	}
	return l
}

// compare puts the case's layer over the one below it into both stores, and
// compares what they show, path by path, or why they refuse it.
func (l *lowers) compare(t *testing.T, c layerCase) {
	t.Helper()
	blobs, types := [][]byte{imagetest.Tar(c.lower...), c.bytes("/outside")}, []string{"", c.typ}
	shown, refused := map[layer.Lower]string{}, map[layer.Lower]error{}
	for lower, s := range l.of {
		img := overlaystore.Image{Manifest: digest.FromString(t.Name())}
		var err error
		for i, blob := range blobs {
			var diffID digest.Digest
			if diffID, err = put(t, s, blob, types[i], c.options(forms[0])); err != nil {
				break
			}
			img.Layers = append(img.Layers, diffID)
		}
		if err == nil {
			img, err = s.PutImage(t.Context(), img)
		}
		if err == nil {
			shown[lower] = l.show(t, s, img)
			l.alone(t, s, img)
		}
		refused[lower] = err
	}
	if got, want := refused[layer.Tars], refused[layer.Directories]; errkind.Of(got) != errkind.Of(want) {
		t.Errorf("a store of tars: error = %v, one of directories said %v", got, want)
	}
	equal(t, "what a store of tars shows", shown[layer.Tars], shown[layer.Directories])
}

// put puts a layer into the store. Its diffID is that of what the blob holds.
func put(t *testing.T, s *overlaystore.Store, blob []byte, mediaType string, o unpack.Options) (digest.Digest, error) {
	t.Helper()
	source := unpack.Source{MediaType: mediaType}
	first, err := unpack.Read(t.Context(), bytes.NewReader(blob), source, unpack.ReadOptions{Strict: o.Strict, Limits: o.Limits})
	if err != nil {
		return "", err
	}
	if has, err := s.HasLayer(first.DiffID); err != nil || has {
		return first.DiffID, err
	}
	st, err := s.Stage(t.Context(), first.DiffID)
	if err != nil {
		return "", err
	}
	defer st.Discard()
	var result unpack.Result
	if tar := st.Tar(); tar != nil {
		result, err = unpack.Read(t.Context(), bytes.NewReader(blob), source, unpack.ReadOptions{Strict: o.Strict, Limits: o.Limits, Record: st.Record, Tar: tar})
	} else {
		o.Form, o.Record = s.Format().Form, st.Record
		result, err = unpack.Layer(t.Context(), st.Dir(), bytes.NewReader(blob), source, o)
	}
	if err != nil {
		return "", err
	}
	if err := st.Seal(t.Context(), overlaystore.LayerRecord{Size: result.Size, DiskSize: result.Content, Facts: result.Facts}); err != nil {
		return "", err
	}
	return first.DiffID, s.Commit(t.Context(), st)
}

// show mounts the image and tells all that there is.
func (l *lowers) show(t *testing.T, s *overlaystore.Store, img overlaystore.Image) string {
	t.Helper()
	m, err := overlaymount.Assemble(t.Context(), s, img, overlaymount.Options{})
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(l.dir, "mnt")
	if err := os.MkdirAll(target, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := m.Mount(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Error(err)
		}
	}()
	return wholeTree(t, target)
}

// alone compares the topmost layer of a store of tars, mounted by itself, with its
// lower directory in the other store, when both have it.
func (l *lowers) alone(t *testing.T, s *overlaystore.Store, img overlaystore.Image) {
	t.Helper()
	boot, err := durable.BootID()
	if err != nil {
		t.Fatal(err)
	}
	diffID := img.Layers[len(img.Layers)-1]
	dir, tars := l.of[layer.Directories], l.of[layer.Tars]
	lower := filepath.Join(dir.Path(), "unsynced", boot, diffID.Encoded(), "fs")
	paths, err := tarlayer.Files(tars.Dir(), []digest.Digest{diffID}, boot)
	if _, missing := os.Stat(lower); err != nil || missing != nil {
		return // the other store is still to come
	}
	rec, err := tars.Layer(diffID)
	if err != nil {
		t.Fatal(err)
	}
	at, err := durable.OpenDirAt(tars.Dir(), filepath.Dir(paths[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	f, err := tarlayer.Alone(t.Context(), at, tarlayer.Layer{DiffID: diffID, Size: rec.Size, Facts: rec.Facts}, l.dir)
	if err != nil {
		t.Errorf("make a filesystem of the layer alone: %v", err)
		return
	}
	defer f.Close()
	target := filepath.Join(l.dir, "mnt")
	if err := unix.Mount(filepath.Join(tars.Path(), paths[0]), target, "erofs", unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Error(err)
		}
	}()
	equal(t, "the layer alone", withoutDeleted(t, target), withoutDeleted(t, lower))
}

// withoutDeleted is wholeTree, but that of what is deleted there is only its name.
func withoutDeleted(t *testing.T, dir string) string {
	t.Helper()
	lines := strings.Split(wholeTree(t, dir), "\n")
	for i, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
			lines[i] = name + " is deleted"
		}
	}
	return strings.Join(lines, "\n")
}

// wholeTree is a line for each path with all that there is of it, and one for
// the names of each file that has several.
func wholeTree(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	names := map[uint64][]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := "." + p[len(dir):]
		st := stat(t, dir, name)
		line := fmt.Sprintf("%s %o %d:%d %d.%09d", describe(p, name), st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		xattrs := xattrMap(t, p)
		for _, name := range slices.Sorted(maps.Keys(xattrs)) {
			line += fmt.Sprintf(" %q=%q", name, xattrs[name])
		}
		lines = append(lines, line)
		if !d.IsDir() {
			names[st.Ino] = append(names[st.Ino], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range names {
		if len(list) > 1 {
			lines = append(lines, "one file: "+strings.Join(list, " "))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
