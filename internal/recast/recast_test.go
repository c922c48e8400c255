// SPDX-License-Identifier: Apache-2.0

package recast

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// appOf is the image of two layers.
func appOf(s *overlaystore.Store) (overlaystore.Image, error) {
	images, err := s.Images()
	if err != nil {
		return overlaystore.Image{}, err
	}
	for _, img := range images {
		if len(img.Layers) == len(stacks["app"]) {
			return img, nil
		}
	}
	return overlaystore.Image{}, overlaystore.ErrNotFound
}

// dieGiving makes directories for an engine and dies at an operation, or before
// the engine has linked one.
func dieGiving(n int, dir string) error {
	ctx, _ := durable.WithFaultAt(context.Background(), n, func() error { return unix.Kill(os.Getpid(), unix.SIGKILL) })
	s, err := overlaystore.Open(context.Background(), dir, overlaystore.Options{})
	if err != nil {
		return err
	}
	img, err := appOf(s)
	if err != nil {
		return err
	}
	if _, err := Directories(ctx, s, img, nil); err != nil {
		return err
	}
	return unix.Kill(os.Getpid(), unix.SIGKILL)
}

// What a giving that was killed has left goes with the next use of the store, or
// with a prune, and what lives meanwhile stays.
func TestKilledGivingLeavesNothing(t *testing.T) {
	layertest.NeedsRoot(t, "it makes a store of tars")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(disktest.Memory(t), "from")
	s := open(t, dir, layer.Tars)
	fetched(t, s)
	s.Close()
	for _, n := range []int{12, 40, 1 << 30} {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{"give", strconv.Itoa(n), dir}, "\n"))
		if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.String() != "signal: killed" {
			t.Fatalf("%v: %s", err, out)
		}
		if got := staged(t, dir); got != 1 {
			t.Errorf("after a kill at %d staging holds %d names, want what was being made", n, got)
		}
		s, err := overlaystore.Open(t.Context(), dir, overlaystore.Options{KeepLeftovers: true})
		if err != nil {
			t.Fatal(err)
		}
		img, err := appOf(s)
		if err != nil {
			t.Fatal(err)
		}
		alive, err := Directories(t.Context(), s, img, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n == 12 {
			open(t, dir, layer.Tars).Close()
		} else if _, err := s.Prune(t.Context(), overlaystore.PruneOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := staged(t, dir); got != 1 {
			t.Errorf("staging holds %d names, want that of the living", got)
		}
		if report, err := alive.Verify(t.Context(), overlaystore.VerifyOptions{}); err != nil {
			t.Errorf("%v: %v", err, report.Differences)
		}
		if err := alive.Close(); err != nil {
			t.Error(err)
		}
		sound(t, s)
		s.Close()
	}
}

// staged is how many names are in staging.
func staged(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(dir, "staging"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
