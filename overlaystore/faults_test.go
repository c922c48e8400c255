// SPDX-License-Identifier: Apache-2.0

package overlaystore

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
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/platform"
)

// command is one thing that is done to a store, with every step of it a place
// where the disk, the process or the power can fail.
type command struct {
	name    string
	prepare func(ctx context.Context, s *Store) error
	run     func(ctx context.Context, s *Store) error
}

// The image that commands work on shares a layer with one that stays, and it
// needs a fix layer.
var commands = []command{
	{"pull", func(ctx context.Context, s *Store) error { return pull(ctx, s, "stays", "base") }, pullApp},
	{"re-pull", pullBoth, pullApp},
	{"repair", damageApp, repairApp},
	{"rm", pullBoth, func(ctx context.Context, s *Store) error { return s.Remove(ctx, "app", "") }},
	{"prune", removeApp, func(ctx context.Context, s *Store) error {
		_, err := s.Prune(ctx, PruneOptions{})
		return err
	}},
}

var faultLayers = map[string][]file{
	"base": {dir("tmp", 0o1777), regular("etc", "base"), dir("d", 0o700)},
	"app":  {implied("tmp"), regular("tmp/app", "app"), whiteout("etc")},
	"app2": {implied("d"), regular("d/app", strings.Repeat("app", 5000))},
}

func pullApp(ctx context.Context, s *Store) error { return pull(ctx, s, "app", "base", "app", "app2") }

func pullBoth(ctx context.Context, s *Store) error {
	return errors.Join(pull(ctx, s, "stays", "base"), pullApp(ctx, s))
}

func removeApp(ctx context.Context, s *Store) error {
	return errors.Join(pullBoth(ctx, s), s.Remove(ctx, "app", ""))
}

// pull does to the store what a pull does, with layers out of thin air.
func pull(ctx context.Context, s *Store, ref string, names ...string) (err error) {
	var ids []digest.Digest
	for _, name := range names {
		ids = append(ids, layerID(name))
	}
	lease, err := s.Lease(ctx, "pull "+ref, ids...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	var staged []*Staging
	for i, name := range names {
		g, err := s.Stage(ctx, ids[i])
		if errors.Is(err, ErrExists) {
			continue
		}
		if err != nil {
			return err
		}
		defer g.Leave(ctx)
		taken, err := g.TakeUp(ctx)
		if err == nil && !taken {
			err = fillAndSeal(ctx, g, name)
		}
		if err == nil {
			err = g.Keep(ctx)
		}
		if err != nil {
			return err
		}
		staged = append(staged, g)
	}
	if len(staged) > 1 { // they took long
		if err := s.Settle(ctx, staged...); err != nil {
			return err
		}
	}
	if err := s.Commit(ctx, staged...); err != nil {
		return err
	}
	img, err := s.PutImage(ctx, Image{Manifest: digest.FromString("manifest " + ref), Layers: ids})
	if err != nil {
		return err
	}
	return s.Tag(ctx, ref, img.Manifest, TagOptions{})
}

func fillAndSeal(ctx context.Context, g *Staging, name string) error {
	if err := durable.Fault(ctx, "fill"); err != nil {
		return err
	}
	if err := fill(g, faultLayers[name]...); err != nil {
		return err
	}
	return g.Seal(ctx, recordOf(LayerRecord{}, faultLayers[name]))
}

func damageApp(ctx context.Context, s *Store) error {
	if err := pullBoth(ctx, s); err != nil {
		return err
	}
	img, err := s.Lookup("app", platform.Wanted{})
	if err != nil {
		return err
	}
	for _, path := range []string{storedirs.Layers + "/" + layerID("app").Encoded(), storedirs.Fix + "/" + img.Fix.Encoded()} {
		if err := os.Truncate(filepath.Join(s.Path(), path, journal.Name), 0); err != nil {
			return err
		}
	}
	return disktest.Sync(s.Path()) // so that it is the damage that a power cut leaves
}

func repairApp(ctx context.Context, s *Store) error {
	img, err := s.Lookup("app", platform.Wanted{})
	if err != nil {
		return err
	}
	g, err := s.Restage(ctx, layerID("app"))
	if err != nil {
		return err
	}
	if err := fillAndSeal(ctx, g, "app"); err != nil {
		return errors.Join(err, g.Discard())
	}
	return errors.Join(s.ReplaceLayer(ctx, g), s.RepairFix(ctx, img))
}

// checkSound opens the store as the next process does and looks whether every
// promise holds: what is visible verifies, references resolve, what stayed is
// still there, the command succeeds now, and nothing is left over.
func checkSound(t *testing.T, dir string, c command, when string) {
	t.Helper()
	ctx := t.Context()
	s, err := Open(ctx, dir, Options{})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	defer s.Close()
	// Before a repair the damage is there.
	if c.name != "repair" {
		verifySound(t, s, when)
	}
	if _, err := s.Lookup("stays", platform.Wanted{}); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	if err := c.run(ctx, s); err != nil && !(c.name == "rm" && errors.Is(err, ErrNotFound)) {
		t.Errorf("%s, then again: %v", when, err)
	}
	verifySound(t, s, when)
	if err := pullApp(ctx, s); err != nil {
		t.Errorf("%s, then a pull: %v", when, err)
	}
	if _, err := s.Prune(ctx, PruneOptions{}); err != nil {
		t.Errorf("%s, then a prune: %v", when, err)
	}
	verifySound(t, s, when)
	checkEmpty(t, s, storedirs.Staging, storedirs.Trash, storedirs.Leases)
	for _, name := range []string{storedirs.Images, storedirs.Refs, storedirs.Layers} {
		list, err := fsat.Names(s.dirs[name])
		if want := map[string]int{storedirs.Images: 2, storedirs.Refs: 2, storedirs.Layers: 3}[name]; err != nil || len(list) != want {
			t.Errorf("%s: %s holds %q, error %v; want %d names", when, name, list, err, want)
		}
	}
	if _, err := s.Lookup("app", platform.Wanted{}); err != nil {
		t.Errorf("%s: %v", when, err)
	}
}

func verifySound(t *testing.T, s *Store, when string) {
	t.Helper()
	r, err := s.Verify(t.Context(), VerifyOptions{})
	if err != nil {
		t.Errorf("%s: %v %v", when, err, r.Differences)
	}
}

func newStore(t *testing.T, dir string, c command) {
	t.Helper()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := disktest.NumberLinks(dir); err != nil {
		t.Fatal(err)
	}
	if err := c.prepare(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func TestEveryStepFails(t *testing.T) {
	openStore(t) // skips where no store can be
	errnos := []unix.Errno{unix.EIO, unix.ENOSPC, unix.EMFILE, unix.EINTR}
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// Which of them it is makes no difference to most code, so each
			// step gets one, and the next the next.
			tried := eachStep(func(n int) (int, bool) { return failOnce(t, c, n, errnos[n%len(errnos)]) })
			t.Logf("%d steps", tried)
		})
	}
}

// failOnce tells how many steps there were, and false when the command has no n-th
// one.
func failOnce(t *testing.T, c command, n int, errno unix.Errno) (int, bool) {
	t.Helper()
	dir := filepath.Join(memoryDir(t), "store")
	newStore(t, dir, c)
	s := reopen(t, dir, Options{})
	ctx, op := durable.WithFaultAt(t.Context(), n, func() error { return errno })
	ctx, steps := durable.WithSteps(ctx)
	err := c.run(ctx, s)
	if *op == "" {
		if err != nil {
			t.Fatal(err)
		}
		return int(steps.Load()), false
	}
	if !errors.Is(err, errno) {
		t.Errorf("step %d, %q: error %v, want %v", n, *op, err, errno)
	}
	checkSound(t, dir, c, fmt.Sprintf("after step %d, %q, failed", n, *op))
	return int(steps.Load()), true
}

// When the last step of a commit fails its layers are taken back: others would
// rely on names that a power cut can still undo.
func TestFailedCommitShowsNothing(t *testing.T) {
	s := openStore(t)
	g, err := s.Stage(t.Context(), layerID("base"))
	if err != nil {
		t.Fatal(err)
	}
	if err := fillAndSeal(t.Context(), g, "base"); err != nil {
		t.Fatal(err)
	}
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if op == "fsync dir" {
			return unix.EIO
		}
		return nil
	})
	if err := s.Commit(ctx, g); !errors.Is(err, unix.EIO) {
		t.Errorf("error %v, want EIO", err)
	}
	checkEmpty(t, s, storedirs.Layers, storedirs.Staging)
}

// Creating a store is a command of its own: what one attempt leaves the next
// one takes. In short each third step fails.
func TestEveryStepOfTheFirstOpenFails(t *testing.T) {
	openStore(t)
	step := 3
	if full() {
		step = 1
	}
	for n := 0; ; n += step {
		dir := filepath.Join(memoryDir(t), "store")
		ctx, op := durable.WithFaultAt(t.Context(), n, func() error { return unix.EIO })
		s, err := Open(ctx, dir, Options{})
		if err == nil {
			s.Close()
		}
		if *op == "" {
			break
		}
		if !errors.Is(err, unix.EIO) {
			t.Errorf("step %d, %q: error %v, want EIO", n, *op, err)
		}
		again := reopen(t, dir, Options{})
		if err := pullBoth(t.Context(), again); err != nil {
			t.Error(err)
		}
	}
}

const (
	childEnv = "LAYERCTL_TEST_STORE_CHILD"
	crowdEnv = "LAYERCTL_TEST_STORE_CROWD"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(child(strings.SplitN(spec, " ", 3)))
	}
	os.Exit(disktest.Apart(m.Run))
}

// child runs a command on a store and kills itself at its n-th step.
func child(spec []string) int {
	n, err := strconv.Atoi(spec[1])
	if err != nil {
		return 2
	}
	s, err := Open(context.Background(), spec[2], Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, _ := durable.WithFaultAt(context.Background(), n, func() error { return unix.Kill(os.Getpid(), unix.SIGKILL) })
	if os.Getenv(crowdEnv) != "" {
		err = crowd(ctx, s, spec[0])
	} else {
		i := slices.IndexFunc(commands, func(c command) bool { return c.name == spec[0] })
		err = commands[i].run(ctx, s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestKilledAtEveryStep(t *testing.T) {
	openStore(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			kills := eachStep(func(n int) (int, bool) {
				if n == noStep {
					return failOnce(t, c, n, 0)
				}
				dir := filepath.Join(memoryDir(t), "store")
				newStore(t, dir, c)
				cmd := exec.Command(self)
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", childEnv, c.name, n, dir))
				out, err := cmd.CombinedOutput()
				if err == nil {
					return 0, false
				}
				if got := cmd.ProcessState.String(); got != "signal: killed" {
					t.Fatalf("step %d: %s: %s", n, got, out)
				}
				checkSound(t, dir, c, fmt.Sprintf("after a kill at step %d", n))
				return 0, true
			})
			t.Logf("%d kills", kills)
		})
	}
}

// Leaving out the sync of the parent directory would not show on a filesystem
// that stays up, so the steps themselves are looked at: nothing is visible
// before the data is on disk, and each rename is synced before the next kind
// of thing relies on it.
func TestOrderOfSteps(t *testing.T) {
	s := openStore(t)
	var steps []string
	ctx := durable.WithFault(t.Context(), func(op string) error {
		switch op {
		case "syncfs", "rename", "fsync dir", "fsync file", "rename file":
			steps = append(steps, op)
		}
		return nil
	})
	if err := pull(ctx, s, "one", "base"); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(steps, ", ")
	want := "fsync dir, rename, " + // partial/, for the rest of the image
		"syncfs, rename, fsync dir, " + // layers
		"fsync dir, " + // short links
		"fsync file, rename file, fsync dir, " + // image
		"fsync file, rename file, fsync dir" // reference
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
