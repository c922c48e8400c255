// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/overlaystore"
)

// repairs are of what is linked to the store, and of what was handed over, whose
// store is on another filesystem, so that it is copied.
var repairs = []struct {
	name   string
	copied bool
}{{"linked", false}, {"handed over, copied", true}}

// TestPowerCutOfRenew cuts the power before each step of a repair of two layers
// in an engine, and after the last: each layer is the old one then, which is known
// to be broken, or the new one, and the next repair ends well.
func TestPowerCutOfRenew(t *testing.T) {
	onDisks(t, func(t *testing.T, disk *disktest.FS) {
		cuts := 0
		for _, c := range repairs {
			for n := 0; ; n += every(13) {
				cuts++
				found, ended := cutRenewAt(t, disk, c.copied, n, "")
				if ended && found != nil {
					t.Errorf("%s: cut when it had ended: found %q", c.name, found)
				}
				if ended {
					break
				}
			}
		}
		t.Logf("%d power cuts", cuts)
	})
}

// TestPowerCutOfRenewDoesHarmWithoutSync is the control.
func TestPowerCutOfRenewDoesHarmWithoutSync(t *testing.T) {
	for _, left := range []string{"syncfs", "fsync dir"} {
		t.Run(left, func(t *testing.T) {
			disk := disktest.New(t, 320<<20, "mkfs.ext4", "-q", "-F")
			for range disktest.Tries {
				if found, _ := cutRenewAt(t, disk, true, 1<<20, left); found != nil {
					t.Logf("found %q", found)
					return
				}
			}
			t.Fatal("a cut does no harm")
		})
	}
}

// cutRenewAt cuts the power before step n of a repair, or when it has ended, and
// says what differs afterwards.
func cutRenewAt(t *testing.T, disk *disktest.FS, copied bool, n int, leaveOut string) (found []string, ended bool) {
	t.Helper()
	engine, apart := filepath.Join(disk.Dir, "engine"), layertest.MemoryDir(t)
	at := filepath.Join(disk.Dir, "store")
	for _, dir := range []string{at, engine} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if copied {
		at = filepath.Join(apart, "store")
	}
	f := newFake(t, apart, true)
	f.disk = engine
	h := holdIn(t, f, connectTo(t, f), openStore(t, at), GiveOptions{HandOver: copied})
	if copied {
		if _, err := h.store.Prune(t.Context(), overlaystore.PruneOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	h.image = threeLayers(t, h.store)
	stale := slices.Delete(slices.Clone(h.image.Layers), 1, 2)
	rot(t, h.dir(0)+"/a/f")
	rot(t, h.dir(2)+"/a/h")
	if err := disktest.Sync(disk.Dir); err != nil {
		t.Fatal(err)
	}
	ctx, step := durable.WithFaultAt(t.Context(), n, disk.Cut)
	if leaveOut != "" {
		ctx = leavingOut(t.Context(), leaveOut)
	}
	renewed, err := h.engine.Renew(ctx, h.store, h.image.Image, stale)
	if ended = *step == ""; ended {
		if err != nil || renewed != 2 {
			t.Fatalf("renewed %d layers, %v", renewed, err)
		}
		if err := disk.Cut(); err != nil {
			t.Fatal(err)
		}
	} else if err == nil {
		t.Errorf("cut before step %d (%s): no error", n, *step)
	}
	h.store.Close()
	disk.Reboot()
	h.store = openStore(t, at)
	defer h.store.Close()
	if found, _ = h.differences(); leaveOut == "" {
		h.soundOrKnown(found, n, *step)
	}
	if _, err := h.engine.Renew(t.Context(), h.store, h.image.Image, stale); err != nil {
		t.Errorf("cut before step %d (%s): the next repair: %v", n, *step, err)
	}
	if again, _ := h.differences(); again != nil {
		t.Errorf("cut before step %d (%s): the next repair leaves %q", n, *step, again)
	}
	for i := range h.image.Layers {
		if got := h.besides(h.dir(i)); !slices.Equal(got, []string{"fs"}) {
			t.Errorf("cut before step %d (%s): beside layer %d are %q", n, *step, i, got)
		}
	}
	return found, ended
}

// soundOrKnown: a verification finds what is broken and no more.
func (h *held) soundOrKnown(found []string, n int, step string) {
	h.Helper()
	want := []string{"a/f content", "a/h content"}
	for _, d := range found {
		if !slices.Contains(want, d) {
			h.Errorf("cut before step %d (%s): found %q", n, step, d)
		}
	}
	for i, c := range []struct{ path, content string }{{h.dir(0) + "/a/f", "one"}, {h.dir(2) + "/a/h", "four"}} {
		b, err := os.ReadFile(c.path)
		if sound := err == nil && string(b) == c.content; sound == slices.Contains(found, want[i]) {
			h.Errorf("cut before step %d (%s): found %q, and %s is %q, %v", n, step, found, c.path, b, err)
		}
	}
}

// leavingOut is a context in which no sync of a kind happens.
func leavingOut(ctx context.Context, sync string) context.Context {
	return durable.WithFault(ctx, func(op string) error {
		if op == sync {
			return durable.ErrLeaveOut
		}
		return nil
	})
}
