// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// TestLayersAlone mounts the layers of random stacks, each by its own file, and
// compares each with its lower directory: whiteouts and opaque directories are as
// overlayfs wants them there too. One stack in five is also given to others who
// read EROFS. The store verifies as before, and the tars are what they were.
func TestLayersAlone(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	b := newBench(t, disktest.New(t, 256<<20, "mkfs.ext4", "-q").Dir, overlaystore.Options{Lower: layer.Tars, NoSync: true})
	b.erofs = layertest.NewEROFS(t)
	first, count := number(t, "LAYERCTL_SEED", 1), number(t, "LAYERCTL_STACKS", aloneStacks())
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		layers, _ := stack(seed)
		image, err := b.put(layers, false)
		if err != nil {
			t.Fatal(err)
		}
		for i, entries := range layers {
			b.alone(fmt.Sprintf("seed %d, layer %d", seed, i+1), image.Layers[i], entries, seed%5 == 0)
		}
	}
	report, err := b.store.Verify(t.Context(), overlaystore.VerifyOptions{})
	if err != nil || len(report.Differences) > 0 {
		t.Errorf("the store does not verify: %v, %v", err, report.Differences)
	}
}

// aloneStacks is how many are looked at where nothing is said.
func aloneStacks() uint64 {
	if full() {
		return 10
	}
	return 5
}

// alone makes a layer's file a filesystem and looks at that.
func (b *bench) alone(what string, diffID digest.Digest, entries []imagetest.Entry, others bool) {
	b.Helper()
	file, err := b.makeAlone(diffID)
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
	was, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.makeAlone(diffID); err != nil {
		b.Fatalf("%s, again: %v", what, err)
	}
	now, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(was, now) {
		b.Errorf("%s: made again it has other bytes: %v", what, err)
	}
	tar := imagetest.Tar(entries...)
	if !bytes.Equal(now[4096:4096+len(tar)], tar) {
		b.Errorf("%s: its tar is another one", what)
	}
	if err := unix.Mount(file, b.target, "erofs", unix.MS_RDONLY, ""); err != nil {
		b.Fatalf("%s: mount: %v", what, err)
	}
	got := marked(b.T, b.target)
	if err := unix.Unmount(b.target, 0); err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(b.dir, "lower")
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
		b.Fatal(err)
	}
	open, err := os.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer open.Close()
	if _, err := unpack.Layer(b.Context(), open, bytes.NewReader(tar), unpack.Source{MediaType: "application/vnd.oci.image.layer.v1.tar", DiffID: diffID}, unpack.Options{}); err != nil {
		b.Fatal(err)
	}
	if diff := compare(got, marked(b.T, dir)); diff != "" {
		b.Errorf("%s: alone it is not its lower directory:\n%s%s", what, diff, tell([][]imagetest.Entry{entries}))
	}
	if !others {
		return
	}
	if err := b.erofs.Check(file, nil); err != nil {
		b.Errorf("%s: %v", what, err)
	}
	files, ok, err := b.erofs.Read(file, nil)
	paths := slices.DeleteFunc(got, func(l string) bool {
		return strings.HasPrefix(l, "same file:") || strings.Contains(l, " is opaque: ")
	})
	if err != nil || ok && len(files) != len(paths) {
		b.Errorf("%s: others read %d paths, %v", what, len(files), err)
	}
}

// makeAlone makes the file of a layer of the store a filesystem, and says where it
// is.
func (b *bench) makeAlone(diffID digest.Digest) (string, error) {
	paths, err := tarlayer.Files(b.store.Dir(), []digest.Digest{diffID}, bootID(b.T))
	if err != nil {
		return "", err
	}
	rec, err := b.store.Layer(diffID)
	if err != nil {
		return "", err
	}
	dir, err := durable.OpenDirAt(b.store.Dir(), filepath.Dir(paths[0]))
	if err != nil {
		return "", err
	}
	defer dir.Close()
	f, err := tarlayer.Alone(b.Context(), dir, tarlayer.Layer{DiffID: diffID, Size: rec.Size, Facts: rec.Facts}, b.store.Path())
	if err != nil {
		return "", err
	}
	return filepath.Join(b.store.Path(), paths[0]), f.Close()
}

func bootID(t testing.TB) string {
	t.Helper()
	id, err := durable.BootID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// marked is listTree of a lower directory: a whiteout is a name and no more, and
// an opaque directory is there twice.
func marked(t *testing.T, dir string) []string {
	t.Helper()
	lines := listTree(t, dir)
	for i, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
			lines[i] = name + " is deleted"
		}
		value := make([]byte, 8)
		if n, err := unix.Lgetxattr(filepath.Join(dir, name), "trusted.overlay.opaque", value); err == nil {
			lines = append(lines, fmt.Sprintf("%s is opaque: %s", name, value[:n]))
		}
	}
	return lines
}

// aloneLayer is a layer whose file becomes a filesystem while things fail.
type aloneLayer struct {
	path string // of its directory
	tarlayer.Layer
	plain []byte // the file without the filesystem
	whole []byte // and with it
}

// newAloneLayer puts a layer into a store of tars below dir, and closes that.
func newAloneLayer(t *testing.T, dir string) *aloneLayer {
	t.Helper()
	b := newBench(t, dir, overlaystore.Options{Lower: layer.Tars})
	layers, _ := stack(3)
	image, err := b.put(layers[:1], false)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := b.store.Layer(image.Layers[0])
	if err != nil {
		t.Fatal(err)
	}
	l := &aloneLayer{
		path:  filepath.Join(b.store.Path(), "layers", rec.DiffID.Encoded()),
		Layer: tarlayer.Layer{DiffID: rec.DiffID, Size: rec.Size, Facts: rec.Facts},
	}
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	l.plain = l.read(t)
	if err := l.make(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.whole = l.read(t)
	return l
}

func (l *aloneLayer) file() string { return filepath.Join(l.path, "layer.erofs") }

func (l *aloneLayer) read(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(l.file())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (l *aloneLayer) make(ctx context.Context) error {
	dir, err := durable.OpenDir(l.path)
	if err != nil {
		return err
	}
	f, err := tarlayer.Alone(ctx, dir, l.Layer, l.path)
	if err == nil {
		err = f.Close()
	}
	return errors.Join(err, dir.Close())
}

// begin makes the file as a pull has left it.
func (l *aloneLayer) begin(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(l.file(), l.plain, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := disktest.Sync(l.path); err != nil {
		t.Fatal(err)
	}
}

// sound looks at the file after something failed, or after all went well: the tar
// is what it was, a superblock has its metadata, and the next time ends well.
func (l *aloneLayer) sound(t *testing.T, when string, made bool) {
	t.Helper()
	is := l.read(t)
	if len(is) < len(l.plain) || !bytes.Equal(is[4096:len(l.plain)], l.plain[4096:]) {
		t.Errorf("%s: the tar is another one", when)
	}
	if there := !bytes.Equal(is[1024:1152], make([]byte, 128)); there && !bytes.Equal(is, l.whole) {
		t.Errorf("%s: there is a superblock, and the file is not what it should be", when)
	} else if made && !there {
		t.Errorf("%s: there is no superblock", when)
	}
	if err := l.make(t.Context()); err != nil || !bytes.Equal(l.read(t), l.whole) {
		t.Errorf("%s: the next time has other bytes: %v", when, err)
	}
}

func TestEveryOperationOfAloneFails(t *testing.T) {
	layertest.NeedsRoot(t, "it makes a store of tars")
	l := newAloneLayer(t, t.TempDir())
	for n := 0; ; n++ {
		l.begin(t)
		ctx, op := durable.WithFaultAt(t.Context(), n, func() error { return unix.EIO })
		err := l.make(ctx)
		if *op == "" {
			if err != nil || n < 4 {
				t.Errorf("%d operations, %v", n, err)
			}
			l.sound(t, "undisturbed", true)
			break
		}
		if !errors.Is(err, unix.EIO) {
			t.Errorf("operation %d, %q, failed: %v", n, *op, err)
		}
		if n < 2 && !bytes.Equal(l.read(t), l.plain) {
			t.Errorf("operation %d, %q, failed: the metadata has stayed", n, *op)
		}
		l.sound(t, fmt.Sprintf("operation %d, %q, failed", n, *op), false)
	}
	// What is there a process may have left that died before its sync.
	ctx, op := durable.WithFaultAt(t.Context(), 0, func() error { return unix.EIO })
	if err := l.make(ctx); *op != "fsync file" || !errors.Is(err, unix.EIO) {
		t.Errorf("a second time: %q is first, %v", *op, err)
	}
}

func TestAloneWaitsNoLongerThanItsContext(t *testing.T) {
	layertest.NeedsRoot(t, "it makes a store of tars")
	l := newAloneLayer(t, t.TempDir())
	f, err := os.Open(l.file())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := durable.TryFlock(f, durable.Exclusive); err != nil || !got {
		t.Fatal(got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.make(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestPowerCutOfAlone cuts the power at each operation, and once it is done; and
// then without the syncs, which must do harm, or all of it proves nothing.
func TestPowerCutOfAlone(t *testing.T) {
	layertest.NeedsRoot(t, "it makes a store of tars")
	for _, kind := range filesystems() {
		t.Run(kind[0], func(t *testing.T) {
			disk := disktest.New(t, loopBytes, kind[0], kind[1:]...)
			l := newAloneLayer(t, disk.Dir)
			for n, reached := 0, true; reached; n++ {
				l.begin(t)
				ctx, op := durable.WithFaultAt(t.Context(), n, disk.Cut)
				err := l.make(ctx)
				if reached = *op != ""; !reached {
					err = errors.Join(err, disk.Cut())
					if err != nil {
						t.Fatal(err)
					}
				}
				disk.Reboot()
				l.sound(t, fmt.Sprintf("cut at operation %d, %q", n, *op), !reached)
			}
			for range disktest.Tries {
				l.begin(t)
				ctx := durable.WithFault(t.Context(), func(op string) error {
					if op == "fsync file" {
						return durable.ErrLeaveOut
					}
					return nil
				})
				if err := errors.Join(l.make(ctx), disk.Cut()); err != nil {
					t.Fatal(err)
				}
				disk.Reboot()
				if !bytes.Equal(l.read(t), l.whole) {
					return
				}
			}
			t.Error("without its syncs a power cut does no harm")
		})
	}
}

// TestVerifySeesRotOfAlone: what is around the tar counts once there is something.
func TestVerifySeesRotOfAlone(t *testing.T) {
	layertest.NeedsRoot(t, "it makes a store of tars")
	l := newAloneLayer(t, t.TempDir())
	for name, at := range map[string]int{"superblock": 1024 + 40, "UUID": 1024 + 50, "metadata": len(l.plain) + 70} {
		t.Run(name, func(t *testing.T) {
			rotten := bytes.Clone(l.whole)
			rotten[at] ^= 1
			if err := os.WriteFile(l.file(), rotten, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := l.make(t.Context()); !errors.Is(err, overlaystore.ErrDamaged) {
				t.Errorf("made again: %v, want ErrDamaged", err)
			}
			s, err := overlaystore.Open(t.Context(), filepath.Dir(filepath.Dir(l.path)), overlaystore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			report, err := s.Verify(t.Context(), overlaystore.VerifyOptions{})
			if !errors.Is(err, overlaystore.ErrDamaged) || len(report.Differences) != 1 || report.Differences[0].Field != "own filesystem" {
				t.Errorf("verify found %v, %v", report.Differences, err)
			}
		})
	}
}
