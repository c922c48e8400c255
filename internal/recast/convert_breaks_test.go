// SPDX-License-Identifier: Apache-2.0

package recast

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// convert is all of a conversion, by a process of its own: the other store is
// made where it is not there.
func convert(ctx context.Context, dir string, lower layer.Lower, b blobs) error {
	from, err := overlaystore.Open(ctx, filepath.Join(dir, "from"), overlaystore.Options{Existing: true})
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := overlaystore.Open(ctx, filepath.Join(dir, "to"), overlaystore.Options{Lower: lower})
	if err != nil {
		return err
	}
	defer to.Close()
	done, err := Convert(ctx, from, to, Options{Blob: b.open})
	if err == nil && len(done.Left) != 0 {
		err = fmt.Errorf("left %v", done.Left)
	}
	return err
}

// begin makes the store that is converted, with its blobs beside it.
func begin(t *testing.T, dir string, lower layer.Lower) blobs {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir+"/from", lower)
	defer s.Close()
	return fetched(t, s)
}

// settled looks at both stores as the next process does: the one is as it was,
// what the other shows verifies, and the same again completes it.
func settled(t *testing.T, dir, when string, lower, to layer.Lower, b blobs, before map[string]string) {
	t.Helper()
	for name, content := range records(t, dir+"/from") {
		if before[name] != content {
			t.Errorf("%s: %s has changed", when, name)
		}
	}
	from := open(t, dir+"/from", lower)
	sound(t, from)
	from.Close()
	if !gone(dir + "/to") {
		s := open(t, dir+"/to", to)
		named(t, s)
		sound(t, s)
		s.Close()
	}
	if err := convert(t.Context(), dir, to, b); err != nil {
		t.Errorf("%s: the same again: %v", when, err)
		return
	}
	complete(t, dir, to, when)
}

// complete wants both images in the other store, sound.
func complete(t *testing.T, dir string, to layer.Lower, when string) {
	t.Helper()
	s := open(t, dir+"/to", to)
	defer s.Close()
	if got := named(t, s); len(got) != len(stacks) {
		t.Errorf("%s: there are %q", when, got)
	}
	sound(t, s)
	if t.Failed() {
		t.Fatal(when)
	}
}

// every is 1 where each operation is tried; else one of some is.
func every() int {
	if os.Getenv("LAYERCTL_FULL") == "1" {
		return 1
	}
	return 131
}

func TestConvertFailsAtEveryOperation(t *testing.T) {
	both(t, func(t *testing.T, lower, to layer.Lower) {
		tried, errnos := 0, []unix.Errno{unix.EIO, unix.ENOSPC, unix.EMFILE}
		for n := 7 % every(); ; n += every() {
			errno := errnos[tried%len(errnos)]
			dir := filepath.Join(disktest.Memory(t), "stores")
			kept := begin(t, dir, lower)
			before := records(t, dir+"/from")
			ctx, op := durable.WithFaultAt(t.Context(), n, func() error { return errno })
			err := convert(ctx, dir, to, kept)
			if *op == "" {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			when := fmt.Sprintf("after operation %d, %q, failed", n, *op)
			if !errors.Is(err, errno) {
				t.Errorf("%s: error %v, want %v", when, err, errno)
			}
			settled(t, dir, when, lower, to, kept, before)
			tried++
			os.RemoveAll(dir)
		}
		t.Logf("%d operations failed", tried)
	})
}

const childEnv = "LAYERCTL_TEST_CONVERT"

// child converts, or gives, and kills itself at an operation.
func child(spec []string) error {
	if spec[0] == "give" {
		n, err := strconv.Atoi(spec[1])
		if err != nil {
			return err
		}
		return dieGiving(n, spec[2])
	}
	n, err := strconv.Atoi(spec[0])
	if err != nil {
		return err
	}
	kept := blobs{}
	for _, tar := range stacks["app"] {
		kept.add(tar)
	}
	ctx, _ := durable.WithFaultAt(context.Background(), n, func() error { return unix.Kill(os.Getpid(), unix.SIGKILL) })
	return convert(ctx, spec[1], layer.Lower(spec[2]), kept)
}

func TestConvertKilledAtEveryOperation(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	both(t, func(t *testing.T, lower, to layer.Lower) {
		kills, step := 0, max(every(), 3)
		for n := 5 % step; ; n += step {
			dir := filepath.Join(disktest.Memory(t), "stores")
			kept := begin(t, dir, lower)
			before := records(t, dir+"/from")
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{strconv.Itoa(n), dir, string(to)}, "\n"))
			out, err := cmd.CombinedOutput()
			if err == nil {
				break
			}
			if got := cmd.ProcessState.String(); got != "signal: killed" {
				t.Fatalf("operation %d: %s: %s", n, got, out)
			}
			settled(t, dir, fmt.Sprintf("after a kill at operation %d", n), lower, to, kept, before)
			kills++
			os.RemoveAll(dir)
		}
		t.Logf("%d kills", kills)
	})
}

func TestPowerCutAtEveryOperationOfAConvert(t *testing.T) {
	const bytes = 320 << 20
	disk := disktest.New(t, bytes, "mkfs.ext4", "-q", "-F")
	both(t, func(t *testing.T, lower, to layer.Lower) {
		cuts := 0
		for n := 11 % every(); cutOnce(t, disk, n, lower, to); n += every() {
			cuts++
		}
		t.Logf("%d power cuts", cuts)
	})
}

// cutOnce cuts the power at the n-th operation, or after the end where there is
// none: then it is false, and all must be there.
func cutOnce(t *testing.T, disk *disktest.FS, n int, lower, to layer.Lower) bool {
	t.Helper()
	dir := filepath.Join(disk.Dir, "stores")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	kept := begin(t, dir, lower)
	if err := disktest.Sync(dir); err != nil {
		t.Fatal(err)
	}
	before := records(t, dir+"/from")
	ctx, op := durable.WithFaultAt(t.Context(), n, disk.Cut)
	err := convert(ctx, dir, to, kept)
	if *op != "" {
		disk.Reboot()
		settled(t, dir, fmt.Sprintf("after a power cut at operation %d, %q", n, *op), lower, to, kept, before)
		return true
	}
	if err = errors.Join(err, disk.Cut()); err != nil {
		t.Fatal(err)
	}
	disk.Reboot()
	complete(t, dir, to, "after a power cut at the end")
	return false
}
