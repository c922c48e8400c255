// SPDX-License-Identifier: Apache-2.0

package erofstrial

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/erofsmount"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/internal/mounts"
)

func TestMain(m *testing.M) { os.Exit(disktest.Apart(m.Run)) }

func TestTry(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "the kernel mounts EROFS for root alone")
	for name, at := range map[string]string{"on a disk": t.TempDir(), "in memory": disktest.Memory(t)} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.Open(at)
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			found, err := Try(dir)
			if err != nil {
				t.Fatal(err)
			}
			if found.Kernel != nil {
				t.Skipf("needs a kernel that has EROFS: %v", found.Kernel)
			}
			if found.Mount != nil || found.Overlay != nil {
				t.Errorf("%+v", found)
			}
			if name == "in memory" && found.Files == nil {
				t.Error("a file in memory was taken as a device")
			}
			left, err := os.ReadDir(at)
			if err != nil || len(left) > 0 {
				t.Errorf("it leaves %v, error %v", left, err)
			}
		})
	}
}

// TestDirect: a machine of little memory has files read past the page cache, and
// others have them so when it is asked for.
func TestDirect(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "the kernel mounts EROFS for root alone")
	dir, err := os.Open(disktest.New(t, 16<<20, "mkfs.ext4", "-q").Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	found, err := Try(dir)
	if err != nil {
		t.Fatal(err)
	}
	if found.Files != nil || found.Direct != nil {
		t.Skipf("needs a kernel that reads EROFS from files directly: %+v", found)
	}
	if err := fill(dir); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		options erofsmount.Options
		want    bool
	}{
		{"much memory", erofsmount.Options{Memory: 4 << 30}, false},
		{"little memory", erofsmount.Options{Memory: 900 << 20}, true},
		{"much memory, and asked for", erofsmount.Options{Memory: 4 << 30, Direct: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			point := t.TempDir()
			if err := mountAt(dir, point, c.options); err != nil {
				t.Fatal(err)
			}
			e, ok, err := mounts.At(t.Context(), point)
			if got := slices.Contains(e.SuperOptions, "directio"); err != nil || !ok || got != c.want {
				t.Errorf("options %q, error %v: directio is %v, want %v", e.SuperOptions, err, got, c.want)
			}
			if err := unix.Unmount(point, 0); err != nil {
				t.Error(err)
			}
		})
	}
	at, err := os.Open(disktest.Memory(t))
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	if err := fill(at); err != nil {
		t.Fatal(err)
	}
	if root, err := erofsmount.Open(at, indexFile, []string{deviceFile}, erofsmount.Options{Memory: 1}); err != nil {
		t.Errorf("little memory, where the filesystem has no direct reads: %v", err)
	} else {
		root.Close()
	}
}

// mountAt mounts the trial's index, and reads it.
func mountAt(dir *os.File, target string, o erofsmount.Options) error {
	root, err := erofsmount.Open(dir, indexFile, []string{deviceFile}, o)
	if err != nil {
		return err
	}
	defer root.Close()
	point, err := os.Open(target)
	if err != nil {
		return err
	}
	defer point.Close()
	return errors.Join(check(root), mounts.Attach(root, point))
}
