// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/unpack"
)

// pullParts pulls as a process without a cache does, with checkpoints so far
// apart, and verifies what came.
func pullParts(ctx context.Context, dir, ref string, every time.Duration) error {
	return pullPartsWith(ctx, dir, ref, every, Options{})
}

func pullPartsWith(ctx context.Context, dir, ref string, every time.Duration, o Options) error {
	store, err := overlaystore.Open(ctx, dir, overlaystore.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	defer store.Close()
	o.Platform, o.Registry.Retries = "linux/amd64", -1
	client := New(o)
	client.measured.Checkpoint, client.measured.Settle = every, every
	if _, err = client.Pull(ctx, store, ref); err != nil {
		return err
	}
	_, err = store.Verify(ctx, overlaystore.VerifyOptions{})
	return err
}

// newStoreOf is newStoreDir of a store whose layers are in a form.
func newStoreOf(t *testing.T, lower layer.Lower) string {
	t.Helper()
	dir := newStoreDir(t)
	makeStoreOf(t, dir, lower)
	return dir
}

func makeStoreOf(t *testing.T, dir string, lower layer.Lower) {
	t.Helper()
	store, err := overlaystore.Open(t.Context(), dir, overlaystore.Options{Lower: lower})
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
}

// manyEntries is a tar of a large file among small files, links, directories
// without entries and a whiteout.
func manyEntries(size int) []byte {
	entries := []imagetest.Entry{imagetest.Dir("d/", 0o750), imagetest.File("d/.wh.gone", "")}
	for i := range 40 {
		name := fmt.Sprintf("implied%d/f%d", i%5, i)
		entries = append(entries, imagetest.File(name, imagetest.Noise(size/120)), imagetest.Hardlink(name+".link", name), imagetest.Symlink(name+".sym", "x"))
		if i == 20 {
			entries = append(entries, imagetest.File("d/large", imagetest.Noise(size/3)))
		}
	}
	return imagetest.Tar(append(entries, imagetest.Dir("d/last/", 0o700))...)
}

// manyGzip is a layer that has a checkpoint at six tenths, and its compressed form.
// Neither is to be changed.
var manyGzip = sync.OnceValues(func() (tree, blob []byte) {
	tree = manyEntries(3 << 20)
	return tree, imagetest.Gzip(tree)
})

// newPart is a registry of that layer.
func newPart(t *testing.T) *pausing {
	t.Helper()
	tree, blob := manyGzip()
	return newPausing(t, tree, blob, ocispec.MediaTypeImageLayerGzip)
}

// partForms are the forms of a layer that can be gone on with.
var partForms = map[string]func(tree []byte) []byte{
	ocispec.MediaTypeImageLayerGzip + " of members": func(tree []byte) []byte {
		return inParts(tree, func(part []byte) []byte { return imagetest.Gzip(part) })
	},
	ocispec.MediaTypeImageLayerGzip: func(tree []byte) []byte { return imagetest.Gzip(tree) },
	ocispec.MediaTypeImageLayerZstd + " of frames": func(tree []byte) []byte {
		return inParts(tree, func(part []byte) []byte { return imagetest.StoredZstd(20, part) })
	},
	ocispec.MediaTypeImageLayer: func(tree []byte) []byte { return tree },
}

// inParts packs a tree in seventeen parts.
func inParts(tree []byte, pack func(part []byte) []byte) (packed []byte) {
	for part := range slices.Chunk(tree, len(tree)/17+1) {
		packed = append(packed, pack(part)...)
	}
	return packed
}

// begin has a pull of p's layer interrupted, at the byte until, once it has a
// checkpoint, and returns the directory of what it left.
func (p *pausing) begin(t *testing.T, dir string, until int64) string {
	t.Helper()
	return p.beginIn(t.Context(), t, dir, until)
}

func (p *pausing) beginIn(ctx context.Context, t *testing.T, dir string, until int64) string {
	t.Helper()
	p.set(func() { p.until = until })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- pullPartsWith(ctx, dir, p.ref, time.Nanosecond, p.options) }()
	part := waitForPart(t, dir)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("ended with %v", err)
	}
	p.asked()
	return part
}

// planned is how much of the layer a plan leaves out, because it is there.
func (p *pausing) planned(t *testing.T, dir string) int64 {
	t.Helper()
	store, err := overlaystore.Open(t.Context(), dir, overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	client := New(Options{Platform: "linux/amd64", Registry: registry.Options{Retries: -1}})
	client.measured.Checkpoint = time.Hour
	plan, err := client.Plan(t.Context(), store, p.ref)
	if err != nil || plan.Layers[0].Begun <= 0 || plan.Fetch != p.layer.Size-plan.Layers[0].Begun || plan.Bytes > uint64(len(p.tree)) { // no file may be whole yet
		t.Fatalf("planned is %+v, %v", plan, err)
	}
	p.asked()
	return plan.Layers[0].Begun
}

// waitForPart waits for a checkpoint.
func waitForPart(t *testing.T, dir string) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		made, _ := filepath.Glob(filepath.Join(dir, "partial/*.part/resume.[01]"))
		for _, name := range made {
			if st, err := os.Stat(name); err == nil && st.Size() > 0 {
				return filepath.Dir(name)
			}
		}
		if time.Now().After(end) {
			t.Fatal("no checkpoint in a minute")
		}
	}
}

// layerListing is all that can be seen of the one layer of a store: of a tar, the
// file, the journal and the index.
func layerListing(t *testing.T, dir string) string {
	t.Helper()
	if tars, _ := filepath.Glob(filepath.Join(dir, "layers/*/layer.erofs")); len(tars) == 1 {
		var b strings.Builder
		for _, name := range append(tars, filepath.Join(filepath.Dir(tars[0]), "files.zst"), onlyFile(t, dir, "fix/*/index.erofs")) {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s %x\n", strings.TrimPrefix(name, dir), sha256.Sum256(content))
		}
		return b.String()
	}
	roots, _ := filepath.Glob(filepath.Join(dir, "layers/*/fs"))
	if len(roots) != 1 {
		t.Fatalf("layers: %v", roots)
	}
	var b strings.Builder
	err := filepath.WalkDir(roots[0], func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		content := []byte(nil)
		if d.Type().IsRegular() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		if d.Type()&fs.ModeCharDevice != 0 {
			st.Mtim = unix.Timespec{} // a whiteout's time is no layer's
		}
		link, _ := os.Readlink(path)
		fmt.Fprintf(&b, "%s %o %d:%d %d.%d %d %d %s %x\n", strings.TrimPrefix(path, roots[0]), st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, st.Nlink, st.Rdev, link, sha256.Sum256(content))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// onlyFile is the one that a pattern finds in a store.
func onlyFile(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s finds %q, %v", pattern, found, err)
	}
	return found[0]
}

// otherLines are the first that differ.
func otherLines(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is %s, want %s", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}

// A layer that is not whole goes on where the pull before had it, and is what a
// quiet pull makes of it. In short that is gzip and frames of zstd, and a plain one
// where it is kept as a tar; internal/layerstream goes on with each form.
func TestPartGoesOn(t *testing.T) {
	t.Parallel()
	size := 4 << 20
	if full() {
		size = 6 << 20
	}
	tree := manyEntries(size)
	short := map[string]layer.Lower{
		ocispec.MediaTypeImageLayerGzip: layer.Directories, ocispec.MediaTypeImageLayerZstd + " of frames": layer.Directories,
		ocispec.MediaTypeImageLayer: layer.Tars,
	}
	lowers(t, func(t *testing.T, lower layer.Lower) {
		var want string
		for name, pack := range partForms {
			if short[name] != lower && !full() {
				continue
			}
			t.Run(name, func(t *testing.T) {
				mediaType, _, _ := strings.Cut(name, " ")
				p := newPausing(t, tree, pack(tree), mediaType)
				if want == "" {
					want = p.quiet(t, lower)
				}
				p.goesOn(t, newStoreOf(t, lower), want)
			})
		}
	})
}

// quiet is what comes of a layer that nothing interrupts.
func (p *pausing) quiet(t *testing.T, lower layer.Lower) string {
	t.Helper()
	dir := newStoreOf(t, lower)
	if err := pullParts(t.Context(), dir, p.ref, time.Hour); err != nil {
		t.Fatal(err)
	}
	p.asked()
	return layerListing(t, dir)
}

// goesOn interrupts a pull three times, in short twice, and wants the next one to
// go on.
func (p *pausing) goesOn(t *testing.T, dir, want string) {
	t.Helper()
	for _, tenths := range some(2, int64(5), 8, 9) {
		p.begin(t, dir, p.layer.Size*tenths/10)
	}
	p.set(func() { p.until = p.layer.Size })
	begun := p.planned(t, dir)
	if err := pullParts(t.Context(), dir, p.ref, time.Nanosecond); err != nil {
		t.Fatal(err)
	}
	if asked := p.asked(); len(asked) != 1 || !strings.HasPrefix(asked[0], fmt.Sprintf("bytes=%d-", begun)) {
		t.Errorf("asked for %q, of which %d bytes were planned to be there", asked, begun)
	}
	if got := layerListing(t, dir); got != want {
		t.Error(otherLines(got, want))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "partial/*")); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// However a layer is fetched, no byte is fetched twice that a checkpoint speaks of.
func TestPartGoesOnHoweverItIsFetched(t *testing.T) {
	if !full() {
		t.Skip("LAYERCTL_FULL=1 runs it")
	}
	tree := manyEntries(12 << 20)
	blob := imagetest.Gzip(tree)
	for _, lower := range partLowers() {
		for name, o := range map[string]Options{
			"ranges": {Registry: registry.Options{Ranges: 3}},
			"rate":   {Registry: registry.Options{LimitRate: 32 << 20}},
			"memory": {Memory: 4 << 20, Windows: unpack.NewWindows(1 << 20)},
		} {
			p := newPausing(t, tree, blob, ocispec.MediaTypeImageLayerGzip)
			want := p.quiet(t, lower)
			p.options = o
			dir := newStoreOf(t, lower)
			p.begin(t, dir, p.layer.Size*6/10)
			p.set(func() { p.until = p.layer.Size })
			begun := p.planned(t, dir)
			p.set(func() { p.sent = 0 })
			if err := pullPartsWith(t.Context(), dir, p.ref, time.Hour, o); err != nil {
				t.Errorf("%s %s: %v", lower, name, err)
				continue
			}
			asked, sent := p.asked(), int64(0)
			p.set(func() { sent = p.sent })
			if sent > p.layer.Size-begun || len(asked) != 1 {
				t.Errorf("%s %s: asked for %q, sent %d of %d bytes behind %d", lower, name, asked, sent, p.layer.Size, begun)
			}
			if got := layerListing(t, dir); got != want {
				t.Errorf("%s %s: %s", lower, name, otherLines(got, want))
			}
		}
	}
}

// A process that is killed leaves its layer to the next one.
func TestKilledPartGoesOn(t *testing.T) {
	t.Parallel()
	for _, lower := range partLowers() {
		killedPart(t, lower)
	}
}

// partLowers are the forms of stores that tests of layers on their way run on.
func partLowers() []layer.Lower {
	if full() && os.Geteuid() == 0 {
		return []layer.Lower{layer.Directories, layer.Tars}
	}
	return []layer.Lower{layer.Directories}
}

func killedPart(t *testing.T, lower layer.Lower) {
	t.Helper()
	p := newPart(t)
	dir := newStoreOf(t, lower)
	for _, tenths := range []int64{5, 8} {
		p.set(func() { p.until = p.layer.Size * tenths / 10 })
		killed := childCommand(t.Context(), t, "parts", 0, dir, p.ref)
		if err := killed.Start(); err != nil {
			t.Fatal(err)
		}
		<-p.paused
		waitForPart(t, dir)
		_ = killed.Process.Kill()
		_ = killed.Wait() // it was killed
	}
	p.asked()
	p.set(func() { p.until = p.layer.Size })
	if err := pullParts(t.Context(), dir, p.ref, time.Hour); err != nil {
		t.Fatal(err)
	}
	if asked := p.asked(); !strings.HasPrefix(asked[0], "bytes=") {
		t.Errorf("asked for %q", asked)
	}
}

// A pull that is told to end does so in a second, however slow the disk is, and its
// layer goes on all the same.
func TestEndedPartWaitsForNoDisk(t *testing.T) {
	t.Parallel()
	p := newPart(t)
	dir := newStoreDir(t)
	goes := make(chan struct{})
	defer close(goes)
	slow := durable.WithFault(t.Context(), func(op string) error {
		if op == "syncfs" {
			<-goes
		}
		return nil
	})
	part := p.beginIn(slow, t, dir, p.layer.Size*6/10)
	if _, err := os.Lstat(part + "/resume.synced"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was not synced is called durable: %v", err)
	}
	p.set(func() { p.until = p.layer.Size })
	if err := pullParts(t.Context(), dir, p.ref, time.Hour); err != nil {
		t.Fatal(err)
	}
	if asked := p.asked(); !strings.HasPrefix(asked[0], "bytes=") {
		t.Errorf("asked for %q", asked)
	}
}

// A repair leaves nothing for another pull: its layer takes the place of the one
// that is there.
func TestRepairOfALayerThatIsLongOnItsWay(t *testing.T) {
	t.Parallel()
	for _, lower := range partLowers() {
		repairOfALayerThatIsLongOnItsWay(t, lower)
	}
}

func repairOfALayerThatIsLongOnItsWay(t *testing.T, lower layer.Lower) {
	t.Helper()
	p := newPart(t)
	dir := newStoreOf(t, lower)
	if err := pullParts(t.Context(), dir, p.ref, time.Hour); err != nil {
		t.Fatal(err)
	}
	large := map[layer.Lower]string{layer.Directories: "layers/*/fs/d/large", layer.Tars: "layers/*/layer.erofs"}
	if err := os.Truncate(onlyFile(t, dir, large[lower]), 1); err != nil {
		t.Fatal(err)
	}
	store, err := overlaystore.Open(t.Context(), dir, overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	report, err := store.Verify(t.Context(), overlaystore.VerifyOptions{})
	if !errors.Is(err, overlaystore.ErrDamaged) {
		t.Fatalf("verify ends with %v", err)
	}
	client := New(Options{Platform: "linux/amd64", Registry: registry.Options{Retries: -1}})
	client.measured.Checkpoint = time.Nanosecond
	if _, err := client.Repair(t.Context(), store, report); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Verify(t.Context(), overlaystore.VerifyOptions{}); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

// harm is what may have become of a layer on its way, and whether it goes on.
type harm struct {
	name string
	harm func(part, outside string) error
	on   bool
}

// anyHarms are those in both forms of a store.
var anyHarms = []harm{
	{"nothing", func(string, string) error { return nil }, true},
	{"the last checkpoint flipped", func(part, _ string) error {
		return eachState(part, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	}, false},
	{"checkpoints cut", func(part, _ string) error { return eachState(part, func(b []byte) []byte { return b[:len(b)/2] }) }, false},
	{"checkpoints of another version", func(part, _ string) error {
		return eachState(part, func(b []byte) []byte { return bytes.Replace(b, []byte(`"Version":1`), []byte(`"Version":9`), 1) })
	}, false},
	{"no checkpoints", func(part, _ string) error { return eachState(part, func([]byte) []byte { return nil }) }, false},
	{"checkpoints elsewhere", func(part, outside string) error {
		names, _ := filepath.Glob(part + "/resume.*")
		for _, n := range names {
			if err := errors.Join(os.Remove(n), os.Symlink(outside+"/file", n)); err != nil {
				return err
			}
		}
		return nil
	}, false},
	{"journal elsewhere", func(part, outside string) error { return toOutside(part, outside, "files.zst") }, false},
}

// tarHarms are those of a layer that is its tar, whose journal is made again.
var tarHarms = []harm{
	{"tar flipped", editTar(func(b []byte) []byte { b[100_000] ^= 1; return b }), false},
	{"header of an entry flipped", editTar(func(b []byte) []byte { b[4096] ^= 1; return b }), false},
	{"tar cut", editTar(func(b []byte) []byte { return b[:200_000] }), false},
	{"more of the tar", editTar(func(b []byte) []byte { return append(b, "more"...) }), true},
	{"no tar", func(part, _ string) error { return os.Remove(part + "/layer.erofs") }, false},
	{"tar elsewhere", func(part, outside string) error { return toOutside(part, outside, "layer.erofs") }, false},
	{"tar has another name", func(part, outside string) error { return os.Link(part+"/layer.erofs", part+"/../other") }, false},
	{"tar is a directory", func(part, _ string) error {
		return errors.Join(os.Remove(part+"/layer.erofs"), os.Mkdir(part+"/layer.erofs", 0o700))
	}, false},
	{"journal flipped", func(part, _ string) error {
		return edit(part+"/files.zst", func(b []byte) []byte { return []byte("other") })
	}, true},
	{"no journal", func(part, _ string) error { return os.Remove(part + "/files.zst") }, false},
}

// toOutside leaves a link in the place of a file.
func toOutside(part, outside, name string) error {
	raw, err := os.ReadFile(part + "/" + name)
	return errors.Join(err, os.WriteFile(outside+"/"+name, raw, 0o600), os.Remove(part+"/"+name), os.Symlink(outside+"/"+name, part+"/"+name))
}

func editTar(change func([]byte) []byte) func(part, outside string) error {
	return func(part, _ string) error { return edit(part+"/layer.erofs", change) }
}

// dirHarms are those of a layer that is a directory.
var dirHarms = []harm{
	{"files that nobody knows", func(part, outside string) error {
		return errors.Join(os.WriteFile(part+"/fs/d/more", nil, 0o600), os.MkdirAll(part+"/fs/x/y", 0o700), os.Symlink(outside, part+"/fs/z"))
	}, true},
	{"journal flipped", func(part, _ string) error {
		return edit(part+"/files.zst", func(b []byte) []byte { b[20] ^= 1; return b })
	}, false},
	{"journal cut", func(part, _ string) error { return edit(part+"/files.zst", func(b []byte) []byte { return b[:20] }) }, false},
	{"file changed", func(part, _ string) error { return editFile(part, func(b []byte) []byte { b[0] ^= 1; return b }) }, false},
	{"file cut", func(part, _ string) error { return editFile(part, func(b []byte) []byte { return b[1:] }) }, false},
	{"file is a link", func(part, outside string) error {
		return errors.Join(os.Remove(part+"/fs/implied0/f0"), os.Symlink(outside+"/file", part+"/fs/implied0/f0"))
	}, false},
	{"file gone", func(part, _ string) error { return os.Remove(part + "/fs/implied0/f0") }, false},
	{"mode changed", func(part, _ string) error { return os.Chmod(part+"/fs/d", 0o777) }, false},
	{"lower directory elsewhere", func(part, outside string) error {
		return errors.Join(os.RemoveAll(part+"/fs"), os.Symlink(outside, part+"/fs"))
	}, false},
}

func edit(name string, change func([]byte) []byte) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, change(b), 0o600)
}

func eachState(part string, change func([]byte) []byte) error {
	names, _ := filepath.Glob(part + "/resume.*")
	for _, n := range names {
		if err := edit(n, change); err != nil {
			return err
		}
	}
	return nil
}

// editFile changes a file's content and neither its mode nor its time.
func editFile(part string, change func([]byte) []byte) error {
	name := part + "/fs/implied0/f0"
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	return errors.Join(edit(name, change), os.Chtimes(name, st.ModTime(), st.ModTime()))
}

// Whatever became of a layer on its way, what comes is the layer: from its start
// where anything of it is in doubt.
func TestPartIsDoubted(t *testing.T) {
	t.Parallel()
	p := newPart(t)
	lowers(t, func(t *testing.T, lower layer.Lower) {
		harms := slices.Concat(anyHarms, dirHarms)
		switch {
		case lower == layer.Tars && full():
			harms = slices.Concat(anyHarms, tarHarms)
		case lower == layer.Tars:
			harms = tarHarms[:2]
		case !full(): // each fourth one
			for i := range len(harms) / 4 {
				harms[i] = harms[4*i]
			}
			harms = harms[:len(harms)/4]
		}
		want := p.quiet(t, lower)
		for _, c := range harms {
			p.doubted(t, newStoreOf(t, lower), c, want)
		}
	})
}

// doubted harms a layer on its way, and wants it all the same.
func (p *pausing) doubted(t *testing.T, dir string, c harm, want string) {
	t.Helper()
	outside := t.TempDir()
	if err := os.WriteFile(outside+"/file", []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	part := p.begin(t, dir, p.layer.Size*6/10)
	if err := c.harm(part, outside); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	before := contents(t, outside)
	p.set(func() { p.until = p.layer.Size })
	if err := pullParts(t.Context(), dir, p.ref, time.Hour); err != nil {
		t.Errorf("%s: %v", c.name, err)
		return
	}
	asked := p.asked() // while a small tar is compared, the rest may be asked for already
	if strings.HasPrefix(asked[len(asked)-1], "bytes=") != c.on {
		t.Errorf("%s: asked for %q", c.name, asked)
	}
	if got := layerListing(t, dir); got != want {
		t.Errorf("%s: %s", c.name, otherLines(got, want))
	}
	if after := contents(t, outside); after != before {
		t.Errorf("%s: outside became %q", c.name, after)
	}
}

// contents are the names and the sums of the files in a directory.
func contents(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, d := range list {
		raw, err := os.ReadFile(filepath.Join(dir, d.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x\n", d.Name(), sha256.Sum256(raw))
	}
	return b.String()
}

// However the registry answers for the rest of a layer, what is not the blob is
// not taken, and nothing of it is left.
func TestPartIsVerified(t *testing.T) {
	t.Parallel()
	for _, lower := range partLowers() {
		partIsVerified(t, lower)
	}
}

func partIsVerified(t *testing.T, lower layer.Lower) {
	t.Helper()
	_, blob := manyGzip()
	other := bytes.Clone(blob)
	other[len(other)-100] ^= 1
	early := bytes.Clone(blob)
	early[10_000] ^= 1
	type row struct {
		name  string
		blob  []byte
		plain bool
		want  error
	}
	for _, c := range some(2,
		row{"other bytes", other, false, errkind.Mismatch},
		row{"other bytes before the checkpoint", early, true, errkind.Mismatch},
		row{"without ranges", blob, true, nil},
		row{"other bytes without ranges", other, true, errkind.Mismatch},
	) {
		p, dir := newPart(t), newStoreOf(t, lower)
		p.begin(t, dir, p.layer.Size*6/10)
		p.set(func() { p.blob, p.plain, p.until = c.blob, c.plain, p.layer.Size })
		if err := pullParts(t.Context(), dir, p.ref, time.Nanosecond); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if first := p.asked()[0]; !strings.HasPrefix(first, "bytes=") {
			t.Errorf("%s: asked for %q", c.name, first)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "partial/*")); len(left) > 0 {
			t.Errorf("%s: left are %v", c.name, left)
		}
		if layers, _ := filepath.Glob(filepath.Join(dir, "layers/*")); c.want != nil && len(layers) != 0 {
			t.Errorf("%s: visible are %v", c.name, layers)
		}
	}
}
