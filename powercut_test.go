// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// loopBytes is a filesystem's size that ext4 and xfs both take.
const loopBytes = 320 << 20

func TestPowerCutAtEveryOperation(t *testing.T) {
	images := makeImages(t)
	for _, kind := range filesystems() {
		t.Run(kind[0], func(t *testing.T) {
			disk := disktest.New(t, loopBytes, kind[0], kind[1:]...)
			lowers(t, func(t *testing.T, lower layer.Lower) {
				f, total, step := &field{images: images, lower: lower}, 0, 1
				if f.tars() && kind[0] == "mkfs.xfs" {
					step = 7
				}
				for _, c := range f.trials() {
					cuts := eachOperation(t, f.short(c), 3%step, step, func(n int) bool { return cutOnce(t, disk, f, c, n) })
					if !full() && c.name == "pull" {
						cutOnce(t, disk, f, c, noOperation)
					}
					if full() || c.name == "pull" {
						cuts++ // at its end
					}
					t.Logf("%s: %d power cuts", c.name, cuts)
					total += cuts
				}
				t.Logf("%d power cuts", total)
			})
		})
	}
}

// cutOnce cuts the power at the n-th operation of the command. When it has
// none, it does so after the command's success, and returns false.
func cutOnce(t *testing.T, disk *disktest.FS, f *field, c trial, n int) bool {
	t.Helper()
	dir := filepath.Join(disk.Dir, "store")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	f.begin(t, dir, c)
	f.open(t, dir)
	want := f.listLayer(t)
	ctx, op := durable.WithFaultAt(t.Context(), n, disk.Cut)
	err := c.run(ctx, f)
	f.close(t)
	if *op != "" {
		disk.Reboot()
		f.checkSound(t, dir, c, fmt.Sprintf("%s, after a power cut at operation %d, %q", c.name, n, *op), want)
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Cut(); err != nil {
		t.Fatal(err)
	}
	disk.Reboot()
	f.open(t, dir)
	if err := c.kept(f); err != nil {
		t.Errorf("%s, after a power cut at its end: %v", c.name, err)
	}
	f.close(t)
	f.checkSound(t, dir, c, c.name+", after a power cut at its end", want)
	return false
}

// The control: with a sync left out a power cut after the pull must do harm,
// or the test above proves nothing.
func TestPowerCutDoesHarmWithoutSync(t *testing.T) {
	images := makeImages(t)
	for _, kind := range filesystems() {
		lowers(t, func(t *testing.T, lower layer.Lower) {
			if lower == layer.Tars && !full() {
				t.Skip("LAYERCTL_FULL=1 runs it")
			}
			f := &field{images: images, lower: lower}
			for _, left := range []string{"syncfs", "fsync dir", "fsync file"} {
				t.Run(kind[0]+" without "+left, func(t *testing.T) {
					disk := disktest.New(t, loopBytes, kind[0], kind[1:]...)
					for range disktest.Tries {
						if harm := f.harmWithout(t, disk, left); harm != nil {
							t.Log(harm)
							return
						}
					}
					t.Errorf("without %q a power cut did no harm", left)
				})
			}
		})
	}
}

func (f *field) harmWithout(t *testing.T, disk *disktest.FS, left string) error {
	t.Helper()
	dir := filepath.Join(disk.Dir, "store")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	f.begin(t, dir, trials[0])
	f.open(t, dir)
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if op == left {
			return durable.ErrLeaveOut
		}
		return nil
	})
	if err := pullApp(ctx, f); err != nil {
		t.Fatal(err)
	}
	if err := disk.Cut(); err != nil {
		t.Fatal(err)
	}
	f.store.Close()
	disk.Reboot()
	var err error
	if f.store, err = overlaystore.Open(context.Background(), dir, overlaystore.Options{}); err != nil {
		return err
	}
	defer f.close(t)
	_, listed := f.store.Images()
	return errors.Join(isClean(f), appIsThere(f), listed)
}

// filesystems are the commands that make those on which the power is cut.
func filesystems() [][]string {
	kinds := [][]string{{"mkfs.ext4", "-q", "-F"}, {"mkfs.xfs", "-q", "-f"}}
	if !full() {
		kinds = kinds[:1]
	}
	return kinds
}
