// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
)

// trial is one command on a store, of which every operation is a place where
// the disk, the process or the power can fail.
type trial struct {
	name    string
	prepare func(ctx context.Context, f *field) error
	run     func(ctx context.Context, f *field) error
	// kept is what must hold after a success, whatever happens next.
	kept func(f *field) error
	// short is the operation that the short form has fail, of a store of
	// directories and of one of tars.
	short [2]int
}

var trials = []trial{
	{"pull", func(ctx context.Context, f *field) error { return f.pull(ctx, "stays") }, pullApp, appIsThere, [2]int{63, 28}},
	{"re-pull", pullBoth, pullApp, appIsThere, [2]int{10, 10}},
	{"repair", damageApp, repairAll, isClean, [2]int{31, 16}},
	{"rm", pullBoth, removeApp, appIsGone, [2]int{2, 2}},
	{"prune", func(ctx context.Context, f *field) error {
		return errors.Join(pullBoth(ctx, f), removeApp(ctx, f))
	}, pruneAll, appIsGone, [2]int{10, 8}},
}

// field is a store and the images that are brought into it: app and stays
// share their lowest layer, and app needs a fix layer.
type field struct {
	images string
	lower  layer.Lower // of a store that is made; "" is directories
	store  *overlaystore.Store
}

// lowers are the forms of a store that trials run on.
func lowers(t *testing.T, each func(t *testing.T, lower layer.Lower)) {
	t.Helper()
	for _, lower := range []layer.Lower{layer.Directories, layer.Tars} {
		t.Run(string(lower), func(t *testing.T) {
			if lower == layer.Tars {
				layertest.NeedsRoot(t, "it makes a store of tars")
			}
			each(t, lower)
		})
	}
}

// trials are those on the form. In short they are pull and prune of directories, and
// repair of tars: TestEveryOperationFails has the others.
func (f *field) trials() []trial {
	switch {
	case full():
		return trials
	case f.tars():
		return []trial{trials[2]}
	}
	return []trial{trials[0], trials[4]}
}

// short is the operation that the short form of a trial has fail.
func (f *field) short(c trial) int {
	if f.tars() {
		return c.short[1]
	}
	return c.short[0]
}

// tars says that layers are tars, and images indexes over them.
func (f *field) tars() bool { return f.lower == layer.Tars }

func (f *field) ref(name string) string { return "oci:" + filepath.Join(f.images, name) + ":latest" }

func (f *field) pull(ctx context.Context, name string) error {
	// One layer at a time: so the operations have one order.
	_, err := faultClient().Pull(ctx, f.store, f.ref(name))
	return err
}

func faultClient() *Client { return New(Options{Platform: "linux/amd64", Jobs: 1}) }

func pullApp(ctx context.Context, f *field) error { return f.pull(ctx, "app") }

func pullBoth(ctx context.Context, f *field) error {
	return errors.Join(f.pull(ctx, "stays"), f.pull(ctx, "app"))
}

func removeApp(ctx context.Context, f *field) error { return f.store.Remove(ctx, f.ref("app"), "") }

func pruneAll(ctx context.Context, f *field) error {
	_, err := f.store.Prune(ctx, overlaystore.PruneOptions{})
	return err
}

// damageApp leaves empty files, as a power cut does to others.
func damageApp(ctx context.Context, f *field) error {
	if err := pullBoth(ctx, f); err != nil {
		return err
	}
	img, err := f.store.Lookup(f.ref("app"), platform.Wanted{})
	if err != nil {
		return err
	}
	top, file := "layers/"+img.Layers[len(img.Layers)-1].Encoded(), "fs/d/app"
	if f.tars() {
		file = "layer.erofs"
	}
	for _, pattern := range []string{top + "/" + file, "fix/" + img.Fix.Encoded() + "/files.zst"} {
		damaged, err := filepath.Glob(filepath.Join(f.store.Path(), pattern))
		if err != nil || len(damaged) != 1 {
			return fmt.Errorf("found %q to damage: %v", damaged, err)
		}
		if err := os.Truncate(damaged[0], 0); err != nil {
			return err
		}
	}
	return disktest.Sync(f.store.Path())
}

func repairAll(ctx context.Context, f *field) error {
	report, err := f.store.Verify(ctx, overlaystore.VerifyOptions{})
	if !errors.Is(err, overlaystore.ErrDamaged) {
		return err
	}
	_, err = faultClient().Repair(ctx, f.store, report)
	return err
}

func appIsThere(f *field) error {
	_, err := f.store.Lookup(f.ref("app"), platform.Wanted{})
	return err
}

func appIsGone(f *field) error {
	if _, err := f.store.Lookup(f.ref("app"), platform.Wanted{}); !errors.Is(err, overlaystore.ErrNotFound) {
		return fmt.Errorf("look up what was removed: %v", err)
	}
	return nil
}

func isClean(f *field) error {
	report, err := f.store.Verify(context.Background(), overlaystore.VerifyOptions{})
	if err != nil {
		return fmt.Errorf("%w: %v", err, report.Differences)
	}
	return nil
}

// makeImages writes the layouts of the trials' images.
func makeImages(t *testing.T) string {
	t.Helper()
	dir := disktest.Memory(t)
	base := imagetest.Tar(
		imagetest.Dir("tmp/", 0o1777), imagetest.File("etc/conf", "base"), imagetest.Dir("d/", 0o700), imagetest.File("d/gone", ""))
	app := imagetest.Tar(imagetest.File("tmp/app", "app"), imagetest.File("etc/.wh.conf", ""), imagetest.Symlink("l", "etc/conf"))
	more := imagetest.Tar(imagetest.File("d/app", strings.Repeat("app", 5000)), imagetest.Hardlink("d/link", "d/app"), imagetest.File("e/.wh..wh..opq", ""))
	amd64 := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	for name, layers := range map[string][][]byte{"stays": {base}, "app": {base, app, more}} {
		layout := imagetest.NewLayout(filepath.Join(dir, name))
		layout.Tag(layout.Image(amd64, layers...), "latest")
	}
	return dir
}

// newStoreDir is the place for a store, in memory where that can be one: what
// fails here is not the disk, so nobody need wait for it.
func newStoreDir(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{disktest.Memory(t), t.TempDir()} {
		if holdsStore(t, dir) {
			return filepath.Join(dir, "store")
		}
	}
	t.Skip("needs a filesystem that can hold a store")
	return ""
}

// holding are the filesystems that were asked, by their device.
var holding sync.Map

// holdsStore asks each filesystem once.
func holdsStore(t *testing.T, dir string) bool {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	if holds, asked := holding.Load(st.Dev); asked {
		return holds.(bool)
	}
	s, err := overlaystore.Open(t.Context(), filepath.Join(dir, "probe"), overlaystore.Options{})
	if err != nil {
		t.Log(err)
	} else {
		s.Close()
		os.RemoveAll(s.Path())
	}
	holding.Store(st.Dev, err == nil)
	return err == nil
}

// open opens the store as the next process does.
func (f *field) open(t *testing.T, dir string) {
	t.Helper()
	var err error
	if f.store, err = overlaystore.Open(t.Context(), dir, overlaystore.Options{Lower: f.lower}); err != nil {
		t.Fatal(err)
	}
}

func (f *field) close(t *testing.T) {
	t.Helper()
	if err := f.store.Close(); err != nil {
		t.Error(err)
	}
}

// begin makes the store that a trial runs on, and closes it.
func (f *field) begin(t *testing.T, dir string, c trial) {
	t.Helper()
	f.open(t, dir)
	defer f.close(t)
	if err := disktest.NumberLinks(dir); err != nil {
		t.Fatal(err)
	}
	if err := c.prepare(t.Context(), f); err != nil {
		t.Fatalf("prepare %s: %v", c.name, err)
	}
}

// listLayer tells all that there is in the layer that every trial leaves alone.
func (f *field) listLayer(t *testing.T) []string {
	t.Helper()
	img, err := f.store.Lookup(f.ref("stays"), platform.Wanted{})
	if err != nil {
		t.Fatal(err)
	}
	what := "fs"
	if f.tars() {
		what = "layer.erofs"
	}
	return listTree(t, filepath.Join(f.store.Path(), "layers", img.Layers[0].Encoded(), what))
}

// checkSound opens the store as the next process does and looks whether every
// promise holds: what is visible verifies, references resolve, what was there
// is unchanged, each command succeeds now, and nothing is left over.
func (f *field) checkSound(t *testing.T, dir string, c trial, when string, want []string) {
	t.Helper()
	ctx := t.Context()
	f.open(t, dir)
	defer f.close(t)
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %s: %v", when, what, err)
		}
	}
	if c.name != "repair" { // else there is damage, which this is to repair
		check("verify", isClean(f))
	}
	if diff := compare(f.listLayer(t), want); diff != "" {
		t.Errorf("%s: what was there has changed:\n%s", when, diff)
	}
	images, err := f.store.Images()
	check("list images", err)
	for _, img := range images {
		for _, ref := range img.Refs {
			_, err := f.store.Lookup(ref, platform.Wanted{})
			check("look up "+ref, err)
		}
	}
	if err := c.run(ctx, f); !errors.Is(err, overlaystore.ErrNotFound) || c.name != "rm" {
		check("the same again", err)
	}
	check("what the command promises", c.kept(f))
	check("pull", pullApp(ctx, f))
	check("prune", pruneAll(ctx, f))
	check("verify at last", isClean(f))
	f.checkNames(t, when)
}

// checkNames wants both images, their layers and nothing else.
func (f *field) checkNames(t *testing.T, when string) {
	t.Helper()
	want := map[string]int{"staging": 0, "trash": 0, "leases": 0, "unsynced": 0, "partial": 0, "layers": 3, "fix": 1, "images": 2, "refs": 2}
	if f.tars() {
		want["fix"] = 2 // each image has an index
	}
	for name, n := range want {
		list, err := os.ReadDir(filepath.Join(f.store.Path(), name))
		if name == "partial" && errors.Is(err, os.ErrNotExist) {
			err = nil // no layer was kept
		}
		if err != nil || len(list) != n {
			t.Errorf("%s: %s/ holds %d names, error %v; want %d: %v", when, name, len(list), err, n, list)
		}
	}
}

// full says that nothing is left out, however long it takes.
func full() bool { return os.Getenv("LAYERCTL_FULL") == "1" }

// noOperation is the number of one that no command has.
const noOperation = 1 << 30

// eachOperation calls try with first, first+step … until there is no such operation,
// and counts. The short form tries one, which must be there.
func eachOperation(t *testing.T, short, first, step int, try func(n int) (reached bool)) (tried int) {
	t.Helper()
	if !full() {
		if !try(short) {
			t.Errorf("there is no operation %d: the short form needs another one", short)
		}
		return 1
	}
	for n := first; try(n); n += step {
		tried++
	}
	return tried
}

// some are the first n of the cases in short, and in full all of them.
func some[T any](n int, cases ...T) []T {
	if full() {
		return cases
	}
	return cases[:n]
}

func TestEveryOperationFails(t *testing.T) {
	t.Parallel()
	images := makeImages(t)
	lowers(t, func(t *testing.T, lower layer.Lower) {
		for i, c := range trials {
			if lower == layer.Tars && !full() && c.name != "pull" && c.name != "repair" {
				continue // the others do with an index what they do with a directory
			}
			for j, errno := range []unix.Errno{unix.EIO, unix.ENOSPC, unix.EMFILE, unix.EINTR} {
				if (lower == layer.Tars || !full()) && i%4 != j {
					continue // each command with one error, each error with a command
				}
				t.Run(c.name+"/"+unix.ErrnoName(errno), func(t *testing.T) {
					t.Parallel()
					dir, f := newStoreDir(t), &field{images: images, lower: lower}
					tried := eachOperation(t, f.short(c), 0, 1, func(n int) bool { return failOnce(t, f, dir, c, n, errno) })
					t.Logf("%d operations", tried)
				})
			}
		}
	})
}

// failOnce returns false when the command has no n-th operation.
func failOnce(t *testing.T, f *field, dir string, c trial, n int, errno unix.Errno) bool {
	t.Helper()
	defer os.RemoveAll(dir)
	f.begin(t, dir, c)
	f.open(t, dir)
	want := f.listLayer(t)
	ctx, op := durable.WithFaultAt(t.Context(), n, func() error { return errno })
	err := c.run(ctx, f)
	f.close(t)
	if *op == "" {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	when := fmt.Sprintf("after operation %d, %q, failed", n, *op)
	if !errors.Is(err, errno) || !strings.Contains(err.Error(), errno.Error()) {
		t.Errorf("%s: error %v, want %v", when, err, errno)
	}
	f.checkSound(t, dir, c, when, want)
	return true
}

const (
	childEnv = "LAYERCTL_TEST_CHILD"
	// spec of a child: command, operation to die at, store, images
	childFields = 4
)

// TestMain lets the test binary be the process that is killed. Tests that run beside
// others mount nothing and have directories of their own: what is mounted another
// test's prune and rm may take into account.
func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		if err := child(strings.SplitN(spec, "\n", childFields)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(disktest.Apart(m.Run))
}

// child runs a command on a store and kills itself at its n-th operation.
func child(spec []string) error {
	n, err := strconv.Atoi(spec[1])
	if err != nil {
		return err
	}
	ctx, _ := durable.WithFaultAt(context.Background(), n, func() error { return unix.Kill(os.Getpid(), unix.SIGKILL) })
	if spec[0] == "six" {
		kill := func() error { return unix.Kill(os.Getpid(), unix.SIGKILL) }
		return pullSix(afterFour(context.Background(), kill), spec[2], spec[3])
	}
	if spec[0] == "parts" {
		return pullParts(context.Background(), spec[2], spec[3], time.Nanosecond)
	}
	if spec[0] == "part" {
		return pullParts(ctx, spec[2], spec[3], time.Hour)
	}
	if spec[0] == "blobs" {
		return pullBlobs(context.Background(), spec[2], spec[3])
	}
	f := &field{images: spec[3]}
	if f.store, err = overlaystore.Open(context.Background(), spec[2], overlaystore.Options{}); err != nil {
		return err
	}
	f.lower = f.store.Format().Lower
	i := slices.IndexFunc(trials, func(c trial) bool { return c.name == spec[0] })
	if i < 0 {
		return crowd(ctx, f, spec[0])
	}
	return trials[i].run(ctx, f)
}

func childCommand(ctx context.Context, t *testing.T, name string, n int, store, images string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{name, strconv.Itoa(n), store, images}, "\n"))
	return cmd
}

func TestKilledAtEveryOperation(t *testing.T) {
	t.Parallel()
	images := makeImages(t)
	lowers(t, func(t *testing.T, lower layer.Lower) {
		for _, c := range (&field{lower: lower}).trials() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				dir, f := newStoreDir(t), &field{images: images, lower: lower}
				kills := eachOperation(t, f.short(c), 0, 1, func(n int) bool { return killOnce(t, f, dir, c, n) })
				t.Logf("%d kills", kills)
			})
		}
	})
}

func killOnce(t *testing.T, f *field, dir string, c trial, n int) bool {
	t.Helper()
	defer os.RemoveAll(dir)
	f.begin(t, dir, c)
	f.open(t, dir)
	want := f.listLayer(t)
	f.close(t)
	cmd := childCommand(t.Context(), t, c.name, n, dir, f.images)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	if got := cmd.ProcessState.String(); got != "signal: killed" {
		t.Fatalf("operation %d: %s: %s", n, got, out)
	}
	f.checkSound(t, dir, c, fmt.Sprintf("after a kill at operation %d", n), want)
	return true
}
