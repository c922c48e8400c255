// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

// everyKind has a path of each type that the caller may make.
func everyKind() []file {
	f := regular("d/file", "some content")
	f.Xattrs = map[string]string{"user.note": "kept"}
	return []file{
		dir("d", 0o750), f, hardlink("d/linked", "d/file"), symlink("d/link", "../elsewhere"),
		{Entry: layer.Entry{Path: "d/fifo", Type: layer.FIFO, Mode: 0o600}}, whiteout("gone"),
		opaque(dir("o", 0o755), layer.Marked), regular("o/f", ""),
	}
}

func verifyAll(t testing.TB, s *Store, o VerifyOptions) []string {
	t.Helper()
	r, err := s.Verify(t.Context(), o)
	if (len(r.Differences) > 0) != errors.Is(err, ErrDamaged) {
		t.Fatalf("%d differences, and the error is %v", len(r.Differences), err)
	}
	var got []string
	for _, d := range r.Differences {
		got = append(got, d.Path+" "+d.Field)
	}
	return got
}

func TestVerifyFindsRot(t *testing.T) {
	for _, c := range []struct {
		name  string
		harm  func(t *testing.T, fs string) error
		want  []string
		quick bool // found without reading as well
	}{
		{"nothing", func(t *testing.T, fs string) error { return nil }, nil, true},
		{"a byte flipped", func(t *testing.T, fs string) error {
			if err := os.WriteFile(fs+"/d/file", []byte("some c0ntent"), 0); err != nil {
				return err
			}
			return os.Chtimes(fs+"/d/file", time.Time{}, testTime)
		}, []string{"d/file content"}, false},
		{"truncated", func(t *testing.T, fs string) error {
			if err := os.Truncate(fs+"/d/file", 0); err != nil {
				return err
			}
			return os.Chtimes(fs+"/d/file", time.Time{}, testTime)
		}, []string{"d/file size"}, true},
		{"a mode", func(t *testing.T, fs string) error { return os.Chmod(fs+"/d", 0o777) }, []string{"d mode"}, true},
		{"a time", func(t *testing.T, fs string) error {
			return os.Chtimes(fs+"/o", time.Time{}, testTime.Add(time.Second))
		}, []string{"o time"}, true},
		{"an attribute gone", func(t *testing.T, fs string) error {
			return unix.Removexattr(fs+"/d/file", "user.note")
		}, []string{"d/file xattr user.note"}, false},
		{"an attribute more", func(t *testing.T, fs string) error {
			return unix.Setxattr(fs+"/o", "user.more", []byte("x"), 0)
		}, []string{"o xattr user.more"}, false},
		{"a name changed", func(t *testing.T, fs string) error {
			defer restoreTime(t, fs+"/d")
			return os.Rename(fs+"/d/fifo", fs+"/d/fifi")
		}, []string{"d/fifi extra", "d/fifo missing"}, true},
		{"a file added", func(t *testing.T, fs string) error {
			defer restoreTime(t, fs+"/d")
			return os.WriteFile(fs+"/d/new", nil, 0o600)
		}, []string{"d/new extra"}, true},
		{"a file removed", func(t *testing.T, fs string) error {
			defer restoreTime(t, fs+"/o")
			return os.Remove(fs + "/o/f")
		}, []string{"o/f missing"}, true},
		{"a whiteout removed", func(t *testing.T, fs string) error {
			defer os.Chtimes(fs, time.Time{}, epoch)
			return os.Remove(fs + "/gone")
		}, []string{"gone missing"}, true},
		{"a link's target", func(t *testing.T, fs string) error {
			defer restoreTime(t, fs+"/d")
			if err := os.Remove(fs + "/d/link"); err != nil {
				return err
			}
			return os.Symlink("/etc/passwd", fs+"/d/link")
		}, []string{"d/link time", "d/link target"}, true},
		{"a hard link broken", func(t *testing.T, fs string) error {
			defer restoreTime(t, fs+"/d")
			if err := os.Remove(fs + "/d/linked"); err != nil {
				return err
			}
			return os.WriteFile(fs+"/d/linked", []byte("some content"), 0o644)
		}, []string{"d/linked hard link"}, true},
		{"a file that became a directory", func(t *testing.T, fs string) error {
			defer restoreTime(t, fs+"/o")
			if err := os.Remove(fs + "/o/f"); err != nil {
				return err
			}
			return os.Mkdir(fs+"/o/f", 0o755)
		}, []string{"o/f type"}, true},
		{"files.zst torn", func(t *testing.T, fs string) error {
			return os.Truncate(fs+"/../files.zst", 20)
		}, []string{" record"}, true},
		{"layer.json empty", func(t *testing.T, fs string) error {
			return os.Truncate(fs+"/../layer.json", 0)
		}, []string{" record"}, true},
		{"the layer gone", func(t *testing.T, fs string) error {
			return os.RemoveAll(filepath.Dir(fs))
		}, []string{" missing"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openStore(t)
			id := addLayer(t, s, "a", LayerRecord{}, everyKind()...)
			putImage(t, s, "a", id, addLayer(t, s, "b", LayerRecord{}, regular("f", "x")))
			if err := c.harm(t, filepath.Join(s.Path(), storedirs.Layers, id.Encoded(), storedirs.LowerDir)); err != nil {
				t.Fatal(err)
			}
			if got := verifyAll(t, s, VerifyOptions{}); !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
			if got := verifyAll(t, s, VerifyOptions{Quick: true}); (len(got) > 0) != (c.quick && len(c.want) > 0) {
				t.Errorf("quickly found %q", got)
			}
		})
	}
}

func restoreTime(t *testing.T, path string) {
	if err := os.Chtimes(path, time.Time{}, testTime); err != nil {
		t.Error(err)
	}
}

func TestVerifyFindsAChangedMarkAndOwner(t *testing.T) {
	needsRoot(t, "it changes an owner and a trusted attribute")
	s := openStore(t)
	id := addLayer(t, s, "a", LayerRecord{}, everyKind()...)
	fs := filepath.Join(s.Path(), storedirs.Layers, id.Encoded(), storedirs.LowerDir)
	for _, err := range []error{
		unix.Removexattr(fs+"/o", s.format.Xattr("opaque")),
		unix.Setxattr(fs+"/d", s.format.Xattr("opaque"), []byte("y"), 0),
		os.Lchown(fs+"/d/link", 1, 2),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"d opaque", "d/link owner", "o opaque"}
	if got := verifyAll(t, s, VerifyOptions{}); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// A layer's journal has paths that came and went again.
func TestVerifyGoesByTheLastWord(t *testing.T) {
	s := openStore(t)
	g, err := s.Stage(t.Context(), layerID("journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	at := func(f file) layer.Entry { f.ModTime = testTime; return f.Entry }
	for _, e := range []layer.Entry{
		at(dir("d", 0o700)), at(regular("d/old", "")), at(regular("d/sub", "")),
		{Path: "d/old", Type: layer.Removed},
		at(regular("r", "")), at(dir("t", 0o755)), at(regular("t/x", "")), {Path: "t", Type: layer.Removed},
		at(dir("u", 0o755)), at(regular("u/x", "")), {Path: "d", Type: layer.OpaqueMark, Opaque: layer.Marked},
		at(regular("a", "x")), at(hardlink("h", "a")),
	} {
		if err := g.Record(e); err != nil {
			t.Fatal(err)
		}
	}
	// What exists: u is a file in the end, a another file than h, d opaque and explicit.
	files := []file{opaque(dir("d", 0o711), layer.Marked), regular("d/sub", ""), regular("r", ""), regular("u", "now a file"), regular("a", "second")}
	if err := fill(g, files...); err != nil {
		t.Fatal(err)
	}
	h := filepath.Join(mounts.DirPath(g.Dir()), "h")
	writeFile(t, h, "")
	if err := os.Chmod(h, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(h, time.Time{}, testTime); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(mounts.DirPath(g.Dir())+"/.", time.Time{}, epoch); err != nil {
		t.Fatal(err)
	}
	if err := g.Seal(t.Context(), LayerRecord{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if got := verifyAll(t, s, VerifyOptions{}); len(got) > 0 {
		t.Errorf("found %q in a sound layer", got)
	}
	// The link's own file counts, not the one that has its target's name now.
	if err := os.Truncate(filepath.Join(s.Path(), storedirs.Layers, g.DiffID().Encoded(), storedirs.LowerDir, "h"), 9); err != nil {
		t.Fatal(err)
	}
	if got := verifyAll(t, s, VerifyOptions{}); !slices.Contains(got, "h size") {
		t.Errorf("found %q, want the hard link's size", got)
	}
}

func TestRepairLeavesMountsRunning(t *testing.T) {
	needsMount(t)
	s := openStore(t)
	id := addLayer(t, s, "a", LayerRecord{}, everyKind()...)
	other := addLayer(t, s, "b", LayerRecord{}, implied("d"), regular("d/b", "x"))
	img := putImage(t, s, "a", id, other)
	target := t.TempDir()
	mountImage(t, s, img, target)
	for _, dir := range []string{storedirs.Layers + "/" + id.Encoded() + "/fs/d/file", storedirs.Fix + "/" + img.Fix.Encoded() + "/fs/d/extra"} {
		writeFile(t, filepath.Join(s.Path(), dir), "rotten")
	}
	r, _ := s.Verify(t.Context(), VerifyOptions{Images: []Image{img}})
	layers, fixes := r.Damaged()
	if !slices.Equal(layers, []digest.Digest{id}) || !slices.Equal(fixes, []digest.Digest{img.Fix}) {
		t.Fatalf("damaged: layers %v, fix layers %v", layers, fixes)
	}
	g, err := s.Restage(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(g, everyKind()...); err != nil {
		t.Fatal(err)
	}
	if err := g.Seal(t.Context(), recordOf(LayerRecord{}, everyKind())); err != nil {
		t.Fatal(err)
	}
	// Whoever opens the store meanwhile must not take the old one for a dead process's.
	beside := durable.WithFault(t.Context(), func(string) error {
		reopen(t, s.Path(), Options{})
		return nil
	})
	if err := s.ReplaceLayer(beside, g); err != nil {
		t.Fatal(err)
	}
	if err := s.RepairFix(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	if got := verifyAll(t, s, VerifyOptions{}); len(got) > 0 {
		t.Errorf("after the repair: %q", got)
	}
	for range 2 { // opening and pruning must not pull the mount's directory away
		if body, err := os.ReadFile(target + "/d/file"); err != nil || string(body) != "rotten" {
			t.Errorf("the old mount shows %q, error %v", body, err)
		}
		reopen(t, s.Path(), Options{})
		if _, err := s.Prune(t.Context(), PruneOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Unmount(target, 0); err != nil {
		t.Fatal(err)
	}
	reopen(t, s.Path(), Options{})
	checkEmpty(t, s, storedirs.Trash, storedirs.Staging)
	mountImage(t, s, img, target)
	if body, err := os.ReadFile(target + "/d/file"); err != nil || string(body) != "some content" {
		t.Errorf("a new mount shows %q, error %v", body, err)
	}
}

func TestPrune(t *testing.T) {
	s := openStore(t)
	base := addLayer(t, s, "base", LayerRecord{}, regular("f", strings.Repeat("x", 1000)))
	a := addLayer(t, s, "a", LayerRecord{}, regular("a", strings.Repeat("x", 200)))
	b := addLayer(t, s, "b", LayerRecord{}, regular("b", strings.Repeat("x", 30)))
	stray := addLayer(t, s, "stray", LayerRecord{}, regular("s", strings.Repeat("x", 4)))
	imgA, imgB := putImage(t, s, "a", base, a), putImage(t, s, "b", base, b)
	u, err := s.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u.Layers != 4 || u.Bytes != 1234 || u.Reclaimable != 4 {
		t.Errorf("usage %+v", u)
	}
	for _, i := range u.Images {
		if want := map[digest.Digest]int64{imgA.Manifest: 200, imgB.Manifest: 30}[i.Manifest]; i.Own != want || i.Shared != 1000 {
			t.Errorf("%v: own %d, want %d; shared %d, want 1000", i.Refs, i.Own, want, i.Shared)
		}
	}
	steps := []struct {
		name  string
		o     PruneOptions
		first func()
		bytes int64
		refs  string
	}{
		{"dry run", PruneOptions{DryRun: true}, nil, 4, "a b"},
		{"too young", PruneOptions{OlderThan: time.Hour}, nil, 0, "a b"},
		{"leased", PruneOptions{}, func() {
			lease, err := s.Lease(t.Context(), "test", stray)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { lease.Release() })
		}, 0, "a b"},
		{"a reference removed", PruneOptions{}, func() {
			if err := s.Remove(t.Context(), "b", ""); err != nil {
				t.Fatal(err)
			}
		}, 30, "a"},
		{"room for all", PruneOptions{KeepStorage: 10000}, nil, 0, "a"},
		{"room for nothing", PruneOptions{KeepStorage: 1}, nil, 1200, ""},
	}
	for _, c := range steps {
		if c.first != nil {
			c.first()
		}
		done, err := s.Prune(t.Context(), c.o)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if done.Bytes != c.bytes {
			t.Errorf("%s: %d bytes, want %d", c.name, done.Bytes, c.bytes)
		}
		var refs []string
		images, err := s.Images()
		if err != nil {
			t.Fatal(err)
		}
		for _, img := range images {
			refs = append(refs, img.Refs...)
		}
		slices.Sort(refs)
		if got := strings.Join(refs, " "); got != c.refs {
			t.Errorf("%s: references %q stay, want %q", c.name, got, c.refs)
		}
	}
	checkEmpty(t, s, storedirs.Trash, storedirs.Images, storedirs.Refs)
}

// KeepStorage drops the image that was not used for longest.
func TestPruneKeepsTheLastUsed(t *testing.T) {
	s := openStore(t)
	for i, name := range []string{"old", "older", "new"} {
		img := putImage(t, s, name, addLayer(t, s, name, LayerRecord{}, regular("f", strings.Repeat("x", 100))))
		used := time.Now().Add(-time.Duration([]int{2, 3, 1}[i]) * time.Hour)
		if err := os.Chtimes(filepath.Join(s.Path(), storedirs.Images, img.Manifest.Encoded()+".json"), used, used); err != nil {
			t.Fatal(err)
		}
	}
	done, err := s.Prune(t.Context(), PruneOptions{KeepStorage: 150})
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, img := range done.Images {
		refs = append(refs, img.Refs...)
	}
	if want := []string{"older", "old"}; !slices.Equal(refs, want) {
		t.Errorf("dropped %q, want %q", refs, want)
	}
}

// A number is not given twice, so that a line that somebody kept cannot mount
// another layer.
func TestLinksAreNotGivenTwice(t *testing.T) {
	s := openStore(t)
	numbers := map[string]string{}
	for i := range 4 {
		name := fmt.Sprint("layer ", i)
		putImage(t, s, name, addLayer(t, s, name, LayerRecord{}, regular("f", "x")))
		byTarget, _, err := s.links().Read()
		if err != nil {
			t.Fatal(err)
		}
		for target, number := range byTarget {
			if was, ok := numbers[number]; ok && was != target {
				t.Errorf("number %s led to %s and leads to %s", number, was, target)
			}
			numbers[number] = target
		}
		if err := s.Remove(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Prune(t.Context(), PruneOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if left, _, err := s.links().Read(); err != nil || len(left) != 1 {
		t.Errorf("links %v stay, error %v; want the last only", left, err)
	}
}

// A fix layer that is pruned while it is looked for is not found: nothing else
// may come of it, or verifying beside a prune fails now and then.
func TestVerifyBesidePrune(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "store"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	target := verifyTarget{id: digest.FromString("chain"), fix: true}
	there := filepath.Join(s.Path(), storedirs.Fix, target.id.Encoded())
	if err := os.Mkdir(there, 0o700); err != nil {
		t.Fatal(err)
	}
	done, moved := make(chan struct{}), make(chan error)
	go func() {
		var err error
		for err == nil {
			select {
			case <-done:
				moved <- nil
				return
			default:
				err = errors.Join(os.Rename(there, there+"-"), os.Rename(there+"-", there))
			}
		}
		moved <- err
	}()
	rounds := 20_000
	if !full() {
		rounds = 2_000
	}
	for range rounds {
		dir, err := s.openTarget(target)
		if err == nil {
			dir.Close()
		} else if !errors.Is(err, ErrNotFound) {
			t.Error(err)
			break
		}
	}
	close(done)
	if err := <-moved; err != nil {
		t.Error(err)
	}
}

// What a process that was killed has left is counted before it is cleared away;
// what a living one fills is not.
func TestLeftoversAreCounted(t *testing.T) {
	s := openStore(t)
	putImage(t, s, "a", addLayer(t, s, "a", LayerRecord{}, regular("f", "x")))
	var stagings []*Staging
	for _, name := range []string{"dead", "alive"} {
		g, err := s.Stage(t.Context(), layerID(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := fill(g, dir("d", 0o755), regular("d/f", strings.Repeat("x", 5000)), hardlink("link", "d/f")); err != nil {
			t.Fatal(err)
		}
		stagings = append(stagings, g)
	}
	defer stagings[1].Discard()
	if err := stagings[0].close(); err != nil { // as the kernel does for a process that dies
		t.Fatal(err)
	}
	journal, err := os.Stat(filepath.Join(s.Path(), storedirs.Staging, stagings[0].name, "files.zst"))
	if err != nil {
		t.Fatal(err)
	}
	left := 5000 + journal.Size()
	counting := reopen(t, s.Path(), Options{KeepLeftovers: true})
	for range 2 {
		if u, err := counting.Usage(t.Context()); err != nil || u.Left != left || u.Reclaimable != left || u.Bytes != 1 {
			t.Errorf("%d bytes are left, %d can be had of %d, %v; want %d", u.Left, u.Reclaimable, u.Bytes, err, left)
		}
		if p, err := counting.Prune(t.Context(), PruneOptions{DryRun: true}); err != nil || p.Left != left || p.Bytes != 0 {
			t.Errorf("a prune would free %d and %d, %v", p.Left, p.Bytes, err)
		}
	}
	if p, err := counting.Prune(t.Context(), PruneOptions{}); err != nil || p.Left != left {
		t.Errorf("pruned %d, %v", p.Left, err)
	}
	if names, err := fsat.Names(s.dirs[storedirs.Staging]); err != nil || !slices.Equal(names, []string{stagings[1].name}) {
		t.Errorf("staging holds %q, %v", names, err)
	}
	if u, err := counting.Usage(t.Context()); err != nil || u.Left != 0 {
		t.Errorf("after the prune %d bytes are left, %v", u.Left, err)
	}
}
