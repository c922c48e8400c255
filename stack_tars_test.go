// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// TestRandomStacksOfTars is TestRandomStacks for a store that keeps tars, on a
// disk and in memory, where the kernel takes loop devices alone. One stack in
// twenty is mounted, and looked at by fsck.erofs; a reader that is not ours reads
// the index of each, where there is one.
func TestRandomStacksOfTars(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	first, count := number(t, "LAYERCTL_SEED", 1), number(t, "LAYERCTL_STACKS", stacks())
	for name, dir := range places(t) {
		t.Run(fmt.Sprintf("%s from %d", name, first), func(t *testing.T) {
			for begin := first; begin < first+count && !t.Failed(); begin += storeFor {
				b := newBench(t, dir, overlaystore.Options{Lower: layer.Tars, NoSync: true})
				b.erofs = layertest.NewEROFS(t)
				for seed := begin; seed < min(begin+storeFor, first+count) && !t.Failed(); seed++ {
					b.check(seed)
				}
				if err := errors.Join(b.store.Close(), os.RemoveAll(b.store.Path())); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// places are directories in which the kernel mounts tars from files, and by loop
// devices alone.
func places(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"from files": disktest.New(t, 256<<20, "mkfs.ext4", "-q").Dir, "by loop devices": memory(t)}
}

// tarsMountedOne is of how many stacks of tars one is mounted.
const tarsMountedOne = 20

// mounts says whether a stack is mounted: all are in a store of directories.
func (b *bench) mounts(seed uint64) bool {
	return b.store.Format().Lower != layer.Tars || seed%tarsMountedOne == tarsMountedOne/2
}

// read tells what others read of an image's index. ok is false where nobody
// does.
func (b *bench) read(image overlaystore.Image, seed uint64) (lines []string, ok bool, err error) {
	if b.erofs == nil {
		return nil, false, nil
	}
	ix, err := b.store.Index(image)
	if err != nil {
		return nil, false, err
	}
	var devices []string
	for _, d := range ix.Devices {
		devices = append(devices, filepath.Join(b.store.Path(), d))
	}
	index := filepath.Join(b.store.Path(), ix.Path)
	if b.mounts(seed) {
		if err := b.erofs.Check(index, devices); err != nil {
			return nil, false, err
		}
	}
	files, ok, err := b.erofs.Read(index, devices)
	names := map[uint64][]string{}
	for _, f := range files {
		n := &inode{
			typeflag: typeflagOf(f.Mode), mode: int64(f.Mode & 0o7777), uid: int(f.UID), gid: int(f.GID),
			modTime: time.Unix(f.Sec, f.Nsec), content: string(f.Content) + string(f.Link), xattrs: map[string]string{},
		}
		for _, x := range f.Xattrs {
			n.xattrs[string(x[0])] = string(x[1])
		}
		lines = append(lines, describeLine(string(f.Path), n))
		if n.typeflag != tar.TypeDir {
			names[f.Ino] = append(names[f.Ino], string(f.Path))
		}
	}
	return append(lines, groupLines(slices.Collect(maps.Values(names)))...), ok, err
}

// typeflagOf is a tar's letter for a mode's type.
func typeflagOf(mode uint32) byte {
	return map[uint32]byte{
		unix.S_IFREG: tar.TypeReg, unix.S_IFDIR: tar.TypeDir, unix.S_IFLNK: tar.TypeSymlink,
		unix.S_IFIFO: tar.TypeFifo, unix.S_IFCHR: tar.TypeChar, unix.S_IFBLK: tar.TypeBlock,
	}[mode&unix.S_IFMT]
}

// unpack unpacks a layer into a staging, or keeps its tar there.
func (b *bench) unpack(st *overlaystore.Staging, o unpack.Options, blob io.Reader, want unpack.Source) (unpack.Result, error) {
	if tar := st.Tar(); tar != nil {
		return unpack.Read(b.Context(), blob, want, unpack.ReadOptions{Record: o.Record, Tar: tar})
	}
	return unpack.Layer(b.Context(), st.Dir(), blob, want, o)
}

// TestRandomStacksByEROFSFUSE mounts each stack of tars by erofsfuse, from a store
// whose path has what lists of options are written with.
func TestRandomStacksByEROFSFUSE(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	layertest.NeedsEROFSFUSE(t)
	first, count := number(t, "LAYERCTL_SEED", 1), max(1, number(t, "LAYERCTL_STACKS", stacks())/tarsMountedOne)
	b := newBench(t, filepath.Join(memory(t), `a,b c:d\,dev=1`), overlaystore.Options{Lower: layer.Tars, NoSync: true})
	b.driver = overlaymount.EROFSFUSEDriver
	for seed := first * tarsMountedOne; seed < (first+count)*tarsMountedOne && !t.Failed(); seed += tarsMountedOne {
		b.check(seed + tarsMountedOne/2)
	}
}

// Images with the same layers share one index, and each mount is known as that
// of its own image, from files as by loop devices.
func TestImagesThatShareAnIndex(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	for name, dir := range places(t) {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, dir, overlaystore.Options{Lower: layer.Tars, NoSync: true})
			layers, _ := stack(1)
			first, err := b.put(layers, false)
			if err != nil {
				t.Fatal(err)
			}
			second := first
			second.Manifest = digest.FromString("another image")
			if second, err = b.store.PutImage(t.Context(), second); err != nil {
				t.Fatal(err)
			}
			for _, image := range []overlaystore.Image{first, second, first} {
				b.target = t.TempDir()
				mount, err := overlaymount.Assemble(t.Context(), b.store, image, overlaymount.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if err := mount.Mount(t.Context(), b.target); err != nil {
					t.Fatal(err)
				}
				if got, want := byLoop(t, b.target), name != "from files"; got != want {
					t.Errorf("mounted by loop devices: %v, want %v", got, want)
				}
				got, ok, err := b.store.MountedAt(t.Context(), b.target)
				if err != nil || !ok || got.Manifest != image.Manifest {
					t.Errorf("mounted %s and found %s, %v, %v", image.Manifest, got.Manifest, ok, err)
				}
				defer overlaymount.Unmount(t.Context(), b.store, b.target, overlaymount.UnmountOptions{Lazy: true})
			}
		})
	}
}

// A writable mount by the mount line is known as others are.
func TestPrintedWritableMountOfTars(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	b := newBench(t, filepath.Join(memory(t), `a,b c:d`), overlaystore.Options{Lower: layer.Tars, NoSync: true})
	layers, _ := stack(1)
	image, err := b.put(layers, false)
	if err != nil {
		t.Fatal(err)
	}
	base := mounted(t, "tmpfs", "")
	o := overlaymount.Options{Writable: true, Upper: filepath.Join(base, "upper"), Work: filepath.Join(base, "work"), Driver: overlaymount.KernelDriver}
	if err := errors.Join(os.Mkdir(o.Upper, 0o755), os.Mkdir(o.Work, 0o755)); err != nil {
		t.Fatal(err)
	}
	m, err := overlaymount.Assemble(t.Context(), b.store, image, o)
	if err != nil {
		t.Fatal(err)
	}
	line, err := m.Line(b.target)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", line).CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v: %s", line, err, out)
	}
	if got, ok, err := b.store.MountedAt(t.Context(), b.target); err != nil || !ok || got.Manifest != image.Manifest || !got.Writable {
		t.Errorf("mounted: %+v, %v, %v", got, ok, err)
	}
	if err := b.unmount(); err != nil {
		t.Error(err)
	}
}

// A layer that is not in the store any more is missed when its image is put
// together as when it is mounted, and one that is a link is not followed.
func TestMountMissesATar(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	for name, dir := range places(t) {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, dir, overlaystore.Options{Lower: layer.Tars, NoSync: true})
			layers, _ := stack(1)
			image, err := b.put(layers, false)
			if err != nil {
				t.Fatal(err)
			}
			mount, err := overlaymount.Assemble(t.Context(), b.store, image, overlaymount.Options{})
			if err != nil {
				t.Fatal(err)
			}
			ix, err := b.store.Index(image)
			if err != nil {
				t.Fatal(err)
			}
			tar := filepath.Join(b.store.Path(), ix.Devices[len(ix.Devices)-1])
			if err := os.Rename(tar, tar+".away"); err != nil {
				t.Fatal(err)
			}
			if err := mount.Mount(t.Context(), b.target); !errors.Is(err, overlaystore.ErrNotFound) {
				t.Errorf("mount: got %v, want ErrNotFound", err)
			}
			if _, err := b.store.Index(image); !errors.Is(err, overlaystore.ErrNotFound) {
				t.Errorf("put together again: got %v, want ErrNotFound", err)
			}
			if err := os.Symlink(tar+".away", tar); err != nil {
				t.Fatal(err)
			}
			if _, err := b.store.Index(image); err == nil || errors.Is(err, overlaystore.ErrNotFound) {
				t.Errorf("with a link in its place: got %v, want an error that says so", err)
			}
		})
	}
}

// byLoop reports whether what is mounted at target is on loop devices.
func byLoop(t *testing.T, target string) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, " "+target+" ") {
			return strings.Contains(line, " /dev/loop")
		}
	}
	t.Fatalf("nothing is mounted at %q", target)
	return false
}
