// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
)

// begunPart is a layer of which a store has a part, and what a quiet pull makes
// of it.
type begunPart struct {
	*pausing
	lower layer.Lower
	store string // not to be changed
	want  string
}

func newWholePart(t *testing.T, lower layer.Lower, p *pausing) *begunPart {
	t.Helper()
	b := &begunPart{pausing: p, lower: lower, store: newStoreOf(t, lower)}
	b.want = b.quiet(t, lower)
	return b
}

func newBegunPart(t *testing.T, lower layer.Lower) *begunPart {
	t.Helper()
	b := newWholePart(t, lower, newPart(t))
	b.begin(t, b.store, b.layer.Size*6/10)
	b.set(func() { b.until = b.layer.Size })
	return b
}

// copyTo makes a store that has the part.
func (b *begunPart) copyTo(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", b.store, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// arrives pulls as the next process does, and wants the layer and nothing else.
func (b *begunPart) arrives(t *testing.T, dir, when string) {
	t.Helper()
	if err := pullParts(t.Context(), dir, b.ref, time.Hour); err != nil {
		t.Errorf("%s: %v", when, err)
		return
	}
	if got := layerListing(t, dir); got != b.want {
		t.Errorf("%s: %s", when, otherLines(got, b.want))
	}
	for _, name := range []string{"partial", "staging", "trash"} {
		if left, err := os.ReadDir(filepath.Join(dir, name)); err != nil || len(left) != 0 {
			t.Errorf("%s: %s/ holds %v, %v", when, name, left, err)
		}
	}
}

// shortOfGoingOn is the one operation that fails in short, of a pull into
// directories that goes on: the short form has no store of tars.
const shortOfGoingOn = 120

// Each operation of a pull that goes on with a layer fails, each with another
// error.
func TestEveryOperationOfGoingOnFails(t *testing.T) {
	t.Parallel()
	for _, lower := range partLowers() {
		everyOperationOfGoingOnFails(t, lower)
	}
}

func everyOperationOfGoingOnFails(t *testing.T, lower layer.Lower) {
	t.Helper()
	b := newBegunPart(t, lower)
	dir := filepath.Join(disktest.Memory(t), "store")
	errnos := []unix.Errno{unix.EIO, unix.ENOSPC, unix.EMFILE, unix.EINTR}
	tried := eachOperation(t, shortOfGoingOn, 0, 1, func(n int) bool {
		errno := errnos[n%len(errnos)]
		op, err := b.goOn(t, dir, n, func() error { return errno })
		if op == "" {
			return false
		}
		// Of what could not be taken up there is the whole layer.
		if err != nil && !errors.Is(err, errno) {
			t.Errorf("operation %d, %q: error %v, want %v", n, op, err, errno)
		}
		b.arrives(t, dir, fmt.Sprintf("after operation %d, %q, failed with %v", n, op, errno))
		return true
	})
	t.Logf("%s: %d operations", lower, tried)
}

// goOn goes on with the layer until its n-th operation does what do says; op is ""
// where there is none.
func (b *begunPart) goOn(t *testing.T, dir string, n int, do func() error) (op string, err error) {
	t.Helper()
	b.copyTo(t, dir)
	if err := disktest.Sync(dir); err != nil {
		t.Fatal(err)
	}
	ctx, at := durable.WithFaultAt(t.Context(), n, do)
	err = pullParts(ctx, dir, b.ref, time.Hour)
	if *at == "" && err != nil {
		t.Fatal(err)
	}
	return *at, err
}

// A process is killed at each operation of a pull that goes on with a layer.
func TestKilledAtEveryOperationOfGoingOn(t *testing.T) {
	t.Parallel()
	for _, lower := range partLowers() {
		killedAtEveryOperationOfGoingOn(t, lower)
	}
}

func killedAtEveryOperationOfGoingOn(t *testing.T, lower layer.Lower) {
	t.Helper()
	b := newBegunPart(t, lower)
	dir := filepath.Join(disktest.Memory(t), "store")
	kills := eachOperation(t, shortOfGoingOn, 0, 1, func(n int) bool {
		b.copyTo(t, dir)
		cmd := childCommand(t.Context(), t, "part", n, dir, b.ref)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return false
		}
		if got := cmd.ProcessState.String(); got != "signal: killed" {
			t.Fatalf("operation %d: %s: %s", n, got, out)
		}
		b.arrives(t, dir, fmt.Sprintf("after a kill at operation %d", n))
		return true
	})
	t.Logf("%s: %d kills", lower, kills)
}

// The power goes at each operation of a pull that goes on with a layer.
func TestPowerCutAtEveryOperationOfGoingOn(t *testing.T) {
	for _, lower := range partLowers() {
		b := newBegunPart(t, lower)
		for _, kind := range filesystems() {
			t.Run(string(lower)+" "+kind[0], func(t *testing.T) { b.cutAtEveryOperation(t, kind) })
		}
	}
}

func (b *begunPart) cutAtEveryOperation(t *testing.T, kind []string) {
	t.Helper()
	disk := disktest.New(t, loopBytes, kind[0], kind[1:]...)
	dir := filepath.Join(disk.Dir, "store")
	step := 1
	if kind[0] == "mkfs.xfs" {
		step = 3
	}
	cuts := eachOperation(t, shortOfGoingOn, 11%step, step, func(n int) bool {
		op, _ := b.goOn(t, dir, n, disk.Cut)
		if op == "" {
			return false
		}
		disk.Reboot()
		b.arrives(t, dir, fmt.Sprintf("after a power cut at operation %d, %q", n, op))
		return true
	})
	t.Logf("%d power cuts", cuts)
}

// A layer whose power is cut again and again arrives, from what was synced.
func TestPartSurvivesPowerCuts(t *testing.T) {
	size, cuts, room := 6<<20, 2, int64(loopBytes)
	if full() {
		size, cuts, room = 300<<20, 50, 1<<30
	}
	for _, lower := range partLowers() {
		tree := manyEntries(size)
		b := newWholePart(t, lower, newPausing(t, tree, imagetest.Gzip(tree), ocispec.MediaTypeImageLayerGzip))
		for _, kind := range filesystems() {
			t.Run(string(lower)+" "+kind[0], func(t *testing.T) { b.survives(t, disktest.New(t, room, kind[0], kind[1:]...), cuts) })
		}
	}
}

func (b *begunPart) survives(t *testing.T, disk *disktest.FS, cuts int) {
	t.Helper()
	dir := filepath.Join(disk.Dir, "store")
	makeStoreOf(t, dir, b.lower)
	b.set(func() { b.sent = 0 })
	for i := range cuts {
		b.set(func() { b.until = b.layer.Size * int64(i+1) / int64(cuts+1) })
		b.cut(t, disk, dir)
	}
	b.set(func() { b.until = b.layer.Size })
	b.asked()
	b.arrives(t, dir, "at last")
	if first := b.asked()[0]; !strings.HasPrefix(first, "bytes=") {
		t.Errorf("asked for %q", first)
	}
	t.Logf("sent %.3f of %d bytes: %d power cuts", float64(b.sent)/float64(b.layer.Size), b.layer.Size, cuts)
}

// cut pulls until a checkpoint was synced, and cuts the power.
func (b *begunPart) cut(t *testing.T, disk *disktest.FS, dir string) {
	t.Helper()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := syncedPart(dir)
	go func() { ended <- pullParts(ctx, dir, b.ref, time.Nanosecond) }()
	for end := time.Now().Add(time.Minute); syncedPart(dir) == before; time.Sleep(time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("no checkpoint was synced: %v", err)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("no checkpoint was synced in a minute")
		}
	}
	if err := disk.Cut(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Fatal("the pull ended well")
	}
	disk.Reboot()
}

// syncedPart is when the durable checkpoint was made; 0 where there is none.
func syncedPart(dir string) int64 {
	made, _ := filepath.Glob(filepath.Join(dir, "partial/*.part/resume.synced"))
	var st unix.Stat_t
	if len(made) == 1 && unix.Stat(made[0], &st) == nil {
		return st.Ctim.Nano()
	}
	return 0
}

// Of two processes one has a layer on its way, and the other waits: for what the
// first one brings, or to go on with what it leaves.
func TestPartOfAnotherProcess(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		p := newPart(t)
		p.set(func() { p.until, p.more = p.layer.Size*6/10, make(chan struct{}) })
		dir := newStoreDir(t)
		first := childCommand(t.Context(), t, "parts", 0, dir, p.ref)
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		<-p.paused
		waitForPart(t, dir)
		second := childCommand(t.Context(), t, "part", 1<<30, dir, p.ref)
		said, err := second.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Start(); err != nil {
			t.Fatal(err)
		}
		waiting(t, said)
		before := p.asked()
		p.set(func() { p.until = p.layer.Size })
		if killed {
			_ = first.Process.Kill()
		} else {
			close(p.more)
		}
		if err := first.Wait(); (err == nil) == killed {
			t.Errorf("killed %t: the first one ended with %v", killed, err)
		}
		if err := second.Wait(); err != nil {
			t.Errorf("killed %t: the second one ended with %v", killed, err)
		}
		after := p.asked()
		if len(before) != 1 || killed && (len(after) != 1 || !strings.HasPrefix(after[0], "bytes=")) || !killed && len(after) != 0 {
			t.Errorf("killed %t: asked for %q and then for %q", killed, before, after)
		}
		layerListing(t, dir)
	}
}

// waiting reads what a process says until it says that it waits for another one.
func waiting(t *testing.T, said io.Reader) {
	t.Helper()
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "waiting for another process") {
			go func() { _, _ = io.Copy(io.Discard, said) }()
			return
		}
		t.Log(lines.Text())
	}
	t.Fatal("the second process did not wait")
}
