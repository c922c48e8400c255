// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// loopBytes is a filesystem's size that ext4 and xfs both take.
const loopBytes = 320 << 20

// In short the power of ext4 is cut, in full that of xfs, too.
func TestPowerCutAtEveryStep(t *testing.T) {
	kinds := [][]string{{"mkfs.ext4", "-q", "-F"}, {"mkfs.xfs", "-q", "-f"}}
	if !full() {
		kinds = kinds[:1]
	}
	for _, kind := range kinds {
		t.Run(kind[0], func(t *testing.T) {
			f := disktest.New(t, loopBytes, kind[0], kind[1:]...)
			cuts := 0
			for _, c := range commands {
				cuts += cutEverywhere(t, f, c)
			}
			t.Logf("%d power cuts", cuts)
		})
	}
}

func cutEverywhere(t *testing.T, f *disktest.FS, c command) (cuts int) {
	t.Helper()
	return eachStep(func(n int) (int, bool) {
		dir := filepath.Join(f.Dir, "store")
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		newStore(t, dir, c)
		s, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, op := durable.WithFaultAt(t.Context(), n, f.Cut)
		ctx, steps := durable.WithSteps(ctx)
		err = c.run(ctx, s)
		if err != nil && *op == "" {
			t.Fatal(err)
		}
		s.Close()
		if *op == "" {
			return int(steps.Load()), false
		}
		f.Reboot()
		checkSound(t, dir, c, fmt.Sprintf("%s, after a power cut at step %d, %q", c.name, n, *op))
		return int(steps.Load()), true
	})
}

// The control: without the sync the same test must find damage, or it proves
// nothing.
func TestPowerCutDoesHarmWithoutSync(t *testing.T) {
	f := disktest.New(t, loopBytes, "mkfs.ext4", "-q", "-F")
	for i := range disktest.Tries {
		if err := cutWithoutSync(t, f, filepath.Join(f.Dir, fmt.Sprint("store", i))); err != nil {
			t.Log(err)
			return
		}
	}
	t.Error("a layer that was not synced survived each power cut")
}

// cutWithoutSync cuts the power after a commit without its syncfs, and returns
// what a verify then finds.
func cutWithoutSync(t *testing.T, f *disktest.FS, dir string) error {
	t.Helper()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := disktest.Sync(dir); err != nil {
		t.Fatal(err)
	}
	g, err := s.Stage(t.Context(), layerID("app2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := fillAndSeal(t.Context(), g, "app2"); err != nil {
		t.Fatal(err)
	}
	if err := s.moveIn(t.Context(), []*Staging{g}, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Cut(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	f.Reboot()
	again, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	_, err = again.Verify(t.Context(), VerifyOptions{})
	return err
}

// A full disk and a lack of inodes, for real.
func TestFullDisk(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name string
		args []string
		fill func(i int) file
		says string
		room func(s *Store) error
	}{
		{
			"bytes", []string{"-q", "-F"},
			func(i int) file { return regular(fmt.Sprint("big", i), big) },
			"is full", func(s *Store) error { return s.Room(1<<40, 1) },
		},
		{
			"inodes", []string{"-q", "-F", "-N", "256"},
			func(i int) file { return regular(fmt.Sprint("small", i), "") },
			"no inodes left", func(s *Store) error { return s.Room(1, 1<<30) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := disktest.New(t, 16<<20, "mkfs.ext4", c.args...)
			dir := filepath.Join(f.Dir, "store")
			s := reopen(t, dir, Options{})
			defer s.Close()
			if err := pullBoth(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if err := c.room(s); err == nil || !strings.Contains(err.Error(), c.name) || !strings.Contains(err.Error(), dir) {
				t.Errorf("asked beforehand: %v; want which and where", err)
			}
			if err := s.Room(1, 1); err != nil {
				t.Errorf("room for little: %v", err)
			}
			var files []file
			for i := range 400 {
				files = append(files, c.fill(i))
			}
			err := s.Explain(putLayer(t.Context(), s, layerID("too large"), LayerRecord{}, files...))
			if err == nil {
				t.Fatal("everything went in")
			}
			// The staging is discarded, so by now there is room again.
			full := putUntilFull(t, s, files)
			if !strings.Contains(full, c.says) {
				t.Errorf("error %q, want one that says %q", full, c.says)
			}
			verifySound(t, s, "with a full disk")
			checkEmpty(t, s, storedirs.Staging, storedirs.Trash)
		})
	}
}

// putUntilFull explains the error while what caused it is still there, as
// unpacking does.
func putUntilFull(t *testing.T, s *Store, files []file) string {
	t.Helper()
	g, err := s.Stage(t.Context(), layerID("too large"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	err = fill(g, files...)
	if err == nil {
		t.Fatal("everything went in")
	}
	return s.Explain(err).Error()
}

// A process that verifies or prunes all day must not run out of descriptors.
func TestNoDescriptorStaysOpen(t *testing.T) {
	dir := filepath.Join(memoryDir(t), "store")
	for _, c := range commands {
		s := reopen(t, dir, Options{})
		if err := c.prepare(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := c.run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		verifySound(t, s, c.name)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if path, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(path, dir) {
			t.Errorf("%s is still open", path)
		}
	}
}
