// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/layerctl/layerctl/engine/containerd/internal/snapshotdir"
	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// makeErofs is make of the snapshotter erofs.
func (f fakeSnapshots) makeErofs(s *snapshot, view bool) ([]*types.Mount, error) {
	upper := s.dir
	s.dir = filepath.Dir(upper)
	if err := os.WriteFile(filepath.Join(s.dir, snapshotdir.Marker), nil, 0o644); err != nil {
		return nil, err
	}
	var files, mounted []string
	for at := s.parent; at != ""; at = f.snapshots[at].parent {
		files = append(files, filepath.Join(f.snapshots[at].dir, snapshotdir.Layer))
	}
	if len(files) == 0 {
		return []*types.Mount{{Type: "bind", Source: upper, Options: []string{"rw", "rbind"}}}, nil
	}
	if f.demands && view {
		return nil, status.Error(codes.Unknown, "dm-verity mode is 'on' but .dmverity metadata not found")
	}
	var list []*types.Mount
	for _, file := range slices.Backward(files) {
		if _, err := os.Lstat(file); err != nil && view {
			return nil, status.Errorf(codes.Unknown, "%s: no erofs layer blob: file does not exist", file)
		}
	}
	for i, file := range files {
		merged := filepath.Join(filepath.Dir(file), snapshotdir.Merged)
		if _, err := os.Stat(merged); err != nil || view && len(files) == 1 {
			list = append(list, &types.Mount{Type: "erofs", Source: file, Options: []string{"ro", "loop"}})
			continue
		}
		m := &types.Mount{Type: "erofs", Source: merged, Options: []string{"ro", "loop"}}
		for _, device := range slices.Backward(files[i:]) {
			m.Options = append(m.Options, "device="+device)
		}
		list = append(list, m)
		break
	}
	mounted = append(mounted, "lowerdir={{ overlay 0 9 }}")
	if !view {
		mounted = append(mounted, "upperdir="+upper, "workdir=/nowhere")
	}
	return append(list, &types.Mount{Type: "format/mkdir/overlay", Source: "overlay", Options: mounted}), nil
}

// anErofs is anEngine with the snapshotter erofs, and a store of tars.
func anErofs(t *testing.T, path string, rebase bool) (*fake, *Engine, *overlaystore.Store) {
	t.Helper()
	layertest.NeedsRoot(t, "to give files to an engine")
	f := newFake(t, layertest.MemoryDir(t), rebase)
	f.snapshotter, f.plugins[0].ID, f.disk = Erofs, Erofs, filepath.Join(path, "engine")
	e, err := Connect(t.Context(), Options{Address: f.socket(), Snapshotter: Erofs})
	if err == nil {
		err = os.MkdirAll(f.disk, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return f, e, openTars(t, filepath.Join(path, "store"))
}

func openTars(t *testing.T, path string) *overlaystore.Store {
	t.Helper()
	s, err := overlaystore.Open(t.Context(), path, overlaystore.Options{Lower: layer.Tars})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// kept puts a layer into a store of tars.
func kept(t *testing.T, s *overlaystore.Store, entries ...imagetest.Entry) digest.Digest {
	t.Helper()
	tar := imagetest.Tar(entries...)
	diffID := digest.FromBytes(tar)
	g, err := s.Stage(t.Context(), diffID)
	if errors.Is(err, overlaystore.ErrExists) {
		return diffID
	}
	if err != nil {
		t.Fatal(err)
	}
	result, err := unpack.Read(t.Context(), bytes.NewReader(tar), unpack.Source{DiffID: diffID}, unpack.ReadOptions{Record: g.Record, Tar: g.Tar()})
	if err == nil {
		err = g.Seal(t.Context(), overlaystore.LayerRecord{Size: result.Size, DiskSize: result.Content, Facts: result.Facts})
	}
	if err == nil {
		err = s.Commit(t.Context(), g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return diffID
}

// threeTars has a layer twice, and one that depends on those below.
func threeTars(t *testing.T, s *overlaystore.Store, twice bool) Image {
	t.Helper()
	one := kept(t, s, imagetest.Dir("a", 0o711), imagetest.File("a/f", "one"), imagetest.File("b", "two"))
	two := kept(t, s, imagetest.File("a/g", "three"), imagetest.File(".wh.b", ""))
	three := kept(t, s, imagetest.File("a/h", "four"))
	if twice {
		return anImage(t, s, "three:1", one, two, one, three)
	}
	return anImage(t, s, "three:1", one, two, three)
}

// placed says what of an image is not as it should be in the engine.
func placed(f *fake, s *overlaystore.Store, img Image) error {
	chains := chainIDs(img.Layers)
	for i, chain := range chains {
		got := f.snapshots[chain.String()]
		if got == nil {
			continue
		}
		want, one := os.Stat(filepath.Join(s.Path(), "layers", img.Layers[i].Encoded(), snapshotdir.Layer))
		have, two := os.Stat(filepath.Join(got.dir, snapshotdir.Layer))
		merged, three := os.Stat(filepath.Join(got.dir, snapshotdir.Merged))
		switch {
		case one != nil || two != nil:
			return errors.Join(one, two)
		case !os.SameFile(want, have):
			return errors.New(have.Name() + " is another file")
		case (three == nil) != (i == len(chains)-1) || three == nil && merged.Size() == 0:
			return errors.New("the index is not on the topmost alone")
		}
	}
	return nil
}

func TestGiveErofs(t *testing.T) {
	for _, c := range []struct {
		name          string
		rebase, twice bool
		links         int64
	}{{"with rebase", true, false, 4}, {"without", false, false, 4}, {"a layer twice", true, true, 4}} {
		t.Run(c.name, func(t *testing.T) {
			f, e, s := anErofs(t, layertest.MemoryDir(t), c.rebase)
			img := threeTars(t, s, c.twice)
			done, err := e.Give(f.watched(t.Context()), s, img, GiveOptions{})
			if err != nil || done.Made != len(img.Layers) || done.Links != c.links || done.Copies+done.Clones > 0 || done.Reason != nil {
				t.Fatalf("given %+v, %v", done, err)
			}
			f.check(t, "given")
			if err := placed(f, s, img); err != nil {
				t.Error(err)
			}
			records, err := recordsOf(s)
			if err != nil || len(records) != 1 || records[0].Snapshotter != Erofs {
				t.Fatalf("records %+v, %v", records, err)
			}
			look := func() []string { return differing(t, e, s, img, overlaystore.VerifyOptions{}) }
			if found := look(); found != nil {
				t.Errorf("verify finds %q", found)
			}
			// What is no link any more is read, and renewed.
			top := f.snapshots[chainIDs(img.Layers)[len(img.Layers)-1].String()].dir
			for _, name := range []string{snapshotdir.Layer, snapshotdir.Merged} {
				if c.twice && name == snapshotdir.Merged {
					continue
				}
				b, err := os.ReadFile(filepath.Join(top, name))
				if err != nil {
					t.Fatal(err)
				}
				b[len(b)-300] ^= 1
				if err := errors.Join(os.Remove(filepath.Join(top, name)), os.WriteFile(filepath.Join(top, name), b, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			if found := look(); len(found) == 0 || found[0] != "own filesystem" || !c.twice && found[1] != "index" {
				t.Errorf("verify finds %q of what is rotten", found)
			}
			if n, err := e.Renew(t.Context(), s, img.Image, img.Layers[len(img.Layers)-1:]); err != nil || n != 1 {
				t.Errorf("renewed %d, %v", n, err)
			}
			if found := look(); found != nil {
				t.Errorf("verify finds %q of what was renewed", found)
			}
			if err := placed(f, s, img); err != nil {
				t.Error(err)
			}
			if _, err := e.Take(t.Context(), s, img.Image.Manifest, nil); err != nil {
				t.Fatal(err)
			}
			if left := f.leftovers(); left != nil {
				t.Errorf("taken, and there are %q", left)
			}
		})
	}
}

// differing are the fields that a verification finds of an image.
func differing(t *testing.T, e *Engine, s *overlaystore.Store, img Image, o overlaystore.VerifyOptions) (fields []string) {
	t.Helper()
	records, err := recordsOf(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Manifest != img.Image.Manifest {
			continue
		}
		report, err := e.Verify(t.Context(), s, r, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range report.Differences {
			fields = append(fields, d.Field)
		}
	}
	return fields
}

// Of an image that comes after one on top of it the engine has all layers, and none has
// the index yet.
func TestGiveErofsBase(t *testing.T) {
	f, e, s := anErofs(t, layertest.MemoryDir(t), true)
	img := threeTars(t, s, false)
	if _, err := e.Give(t.Context(), s, img, GiveOptions{}); err != nil {
		t.Fatal(err)
	}
	for n := 2; n > 0; n-- {
		base := anImage(t, s, "base:"+strconv.Itoa(n), img.Layers[:n]...)
		for range 2 {
			if done, err := e.Give(f.watched(t.Context()), s, base, GiveOptions{}); err != nil || done.Made > 0 {
				t.Fatalf("base of %d: %+v, %v", n, done, err)
			}
			if err := placed(f, s, base); err != nil {
				t.Errorf("base of %d: %v", n, err)
			}
		}
		if found := differing(t, e, s, base, overlaystore.VerifyOptions{}); found != nil {
			t.Errorf("base of %d: verify finds %q", n, found)
		}
		if err := os.Remove(filepath.Join(f.snapshots[chainIDs(base.Layers)[n-1].String()].dir, snapshotdir.Merged)); err != nil {
			t.Fatal(err)
		}
		for _, quick := range []bool{false, true} {
			if found := differing(t, e, s, base, overlaystore.VerifyOptions{Quick: quick}); !slices.Equal(found, []string{"index"}) {
				t.Errorf("base of %d: verify finds %q without the index, quick %t", n, found, quick)
			}
		}
		if renewed, err := e.Renew(t.Context(), s, base.Image, base.Layers[n-1:]); err != nil || renewed != 1 {
			t.Errorf("base of %d: renewed %d, %v", n, renewed, err)
		}
		if err := placed(f, s, base); err != nil {
			t.Errorf("base of %d, renewed: %v", n, err)
		}
	}
	if found := differing(t, e, s, img, overlaystore.VerifyOptions{}); found != nil {
		t.Errorf("the image on top: verify finds %q", found)
	}
}

// What is short or lost of one layer is a difference, and the others are looked at.
func TestErofsCutShort(t *testing.T) {
	f, e, s := anErofs(t, layertest.MemoryDir(t), true)
	img := threeTars(t, s, false)
	if _, err := e.Give(t.Context(), s, img, GiveOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		size   int
		lost   []int // of the layers
		fields []string
	}{
		{"before the superblock", 512, []int{0, 1}, []string{"content", "content"}},
		{"in the tar", 5000, []int{0, 1}, []string{"content", "content"}},
		// The engine tells of the lowest one that is lost.
		{"lost", -1, []int{1}, []string{"missing"}},
		{"the topmost lost", -1, []int{2}, []string{"missing"}},
		{"all lost", -1, []int{0, 1, 2}, []string{"missing"}},
	} {
		var stale []digest.Digest
		for _, i := range c.lost {
			chain := chainIDs(img.Layers)[i]
			if c.size >= 0 || stale == nil {
				stale = append(stale, img.Layers[i])
			}
			at := filepath.Join(f.snapshots[chain.String()].dir, snapshotdir.Layer)
			b, err := os.ReadFile(at)
			if err = errors.Join(err, os.Remove(at)); err == nil && c.size >= 0 {
				err = os.WriteFile(at, b[:c.size], 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if found := differing(t, e, s, img, overlaystore.VerifyOptions{}); !slices.Equal(found, c.fields) {
			t.Errorf("%s: verify finds %q", c.name, found)
		}
		if n, err := e.Renew(t.Context(), s, img.Image, stale); err != nil || n != len(c.lost) {
			t.Errorf("%s: renewed %d, %v", c.name, n, err)
		}
		if found := differing(t, e, s, img, overlaystore.VerifyOptions{}); found != nil {
			t.Errorf("%s: verify finds %q of what was renewed", c.name, found)
		}
		if err := placed(f, s, img); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestErofsLostByAnother: a file that is lost of a layer that another client has given
// is not put back, for an image of that client may stand on another one.
func TestErofsLostByAnother(t *testing.T) {
	f, e, s := anErofs(t, layertest.MemoryDir(t), true)
	img := threeTars(t, s, false)
	if _, err := e.Give(t.Context(), s, img, GiveOptions{}); err != nil {
		t.Fatal(err)
	}
	snapshot := f.snapshots[chainIDs(img.Layers)[1].String()]
	snapshot.labels[ownerLabel] = "/another"
	at := filepath.Join(snapshot.dir, snapshotdir.Layer)
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	if n, err := e.Renew(t.Context(), s, img.Image, img.Layers[1:2]); n != 0 || !errors.Is(err, ErrUnsupported) {
		t.Errorf("renewed %d, %v", n, err)
	}
	if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
}

// An engine on another filesystem than the store gets clones or copies, and says why.
func TestGiveErofsElsewhere(t *testing.T) {
	f, e, s := anErofs(t, layertest.MemoryDir(t), true)
	if err := unix.Mount("tmpfs", f.disk, "tmpfs", 0, "mode=700"); err != nil {
		t.Skipf("needs rights to mount: %v", err)
	}
	layertest.UnmountLater(t, f.disk)
	img := threeTars(t, s, false)
	done, err := e.Give(t.Context(), s, img, GiveOptions{})
	if err != nil || done.Links > 0 || done.Clones+done.Copies != 4 || (done.Bytes > 0) != (done.Copies > 0) || !errors.Is(done.Reason, unix.EXDEV) {
		t.Errorf("given %+v, %v", done, err)
	}
}

// An engine that wants more of a layer than there is gets none, and what it unpacked
// itself is no device of the store's index.
func TestErofsRefusals(t *testing.T) {
	f, e, s := anErofs(t, layertest.MemoryDir(t), true)
	img := threeTars(t, s, false)
	f.demands = true
	if _, err := e.Give(t.Context(), s, img, GiveOptions{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("an engine with dm-verity: %v", err)
	}
	if left := f.leftovers(); left != nil {
		t.Errorf("left: %q", left)
	}
	f.demands = false
	own := filepath.Join(f.disk, "own")
	if err := errors.Join(os.Mkdir(own, 0o700), os.WriteFile(filepath.Join(own, snapshotdir.Layer), make([]byte, 8192), 0o600)); err != nil {
		t.Fatal(err)
	}
	f.snapshots[img.Layers[0].String()] = &snapshot{committed: true, dir: own}
	if _, err := e.Give(t.Context(), s, img, GiveOptions{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("on top of what the engine has unpacked: %v", err)
	}
	f.snapshots[img.Layers[0].String()] = &snapshot{committed: true, dir: own}
	plain := anImage(t, s, "plain:1", img.Layers[0], kept(t, s, imagetest.Dir("a", 0o711), imagetest.File("a/i", "five")))
	for range 2 { // the second time it has all of them
		if _, err := e.Give(t.Context(), s, plain, GiveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if found := differing(t, e, s, plain, overlaystore.VerifyOptions{}); found != nil {
		t.Errorf("verify finds %q of what has no index", found)
	}
	top := f.snapshots[chainIDs(plain.Layers)[1].String()].dir
	if _, err := os.Stat(filepath.Join(top, snapshotdir.Merged)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the store's index is over a layer of the engine's: %v", err)
	}
}

// TestGiveErofsFaults makes one step on the disk after the other fail, and one call
// after the other.
func TestGiveErofsFaults(t *testing.T) {
	for n := 0; ; n += every(3) {
		f, e, s := anErofs(t, layertest.MemoryDir(t), true)
		img := threeTars(t, s, false)
		ctx, failed := durable.WithFaultAt(t.Context(), n, func() error { return unix.EIO })
		_, err := e.Give(ctx, s, img, GiveOptions{})
		if *failed != "" && !errors.Is(err, unix.EIO) || *failed == "" && err != nil {
			t.Errorf("step %d (%s): error %v", n, *failed, err)
		}
		if left := f.leftovers(); *failed != "" && left != nil {
			t.Errorf("step %d (%s): left %q", n, *failed, left)
		}
		if _, err := e.Give(f.watched(t.Context()), s, img, GiveOptions{}); err != nil {
			t.Errorf("step %d (%s): the next run: %v", n, *failed, err)
		}
		f.check(t, "the next run")
		if err := placed(f, s, img); err != nil {
			t.Errorf("step %d (%s): %v", n, *failed, err)
		}
		if *failed == "" {
			t.Logf("%d operations", n)
			return
		}
	}
}

// TestPowerCutOfErofs cuts the power before each call: what was committed is on the
// disk then, and can be mounted.
func TestPowerCutOfErofs(t *testing.T) {
	onDisks(t, func(t *testing.T, disk *disktest.FS) {
		for n := 1; cutErofsAt(t, disk, n); n += every(7) {
		}
	})
}

func cutErofsAt(t *testing.T, disk *disktest.FS, n int) (reached bool) {
	t.Helper()
	for _, name := range []string{"store", "engine"} {
		if err := os.RemoveAll(filepath.Join(disk.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f, e, s := anErofs(t, disk.Dir, true)
	img := threeTars(t, s, false)
	if err := disktest.Sync(disk.Dir); err != nil {
		t.Fatal(err)
	}
	f.ask(cutBefore(t, disk, n))
	_, err := e.Give(t.Context(), s, img, GiveOptions{})
	if reached = f.reached(n); reached == (err == nil) {
		t.Errorf("cut before call %d: %v", n, err)
	}
	s.Close()
	if !reached {
		return false
	}
	disk.Reboot()
	f.ask(nil)
	s = openTars(t, s.Path())
	defer s.Close()
	if err := placed(f, s, img); err != nil {
		t.Errorf("cut before call %d: %v", n, err)
	}
	again := func(ctx context.Context) {
		if _, err := e.Give(ctx, s, img, GiveOptions{}); err != nil {
			t.Errorf("cut before call %d: the next run: %v", n, err)
		}
	}
	again(t.Context())
	if err := placed(f, s, img); err != nil {
		t.Errorf("cut before call %d, and given again: %v", n, err)
	}
	report, err := s.Verify(t.Context(), overlaystore.VerifyOptions{})
	if err != nil || len(report.Differences) > 0 {
		t.Errorf("cut before call %d: the store has %v, %v", n, report.Differences, err)
	}
	return true
}
