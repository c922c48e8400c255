// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/probe"
)

// mountFor mounts a filesystem for a test, or skips.
func mountFor(t *testing.T, fstype, options string) string {
	t.Helper()
	needsRoot(t, "it mounts")
	dir := t.TempDir()
	if err := unix.Mount("layerctl-test", dir, fstype, 0, options); err != nil {
		t.Skipf("needs a kernel that mounts %s: %v", fstype, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// Where a store cannot keep its word it says so at once, and leaves nothing.
func TestOpenRefusesAFilesystem(t *testing.T) {
	for _, c := range []struct {
		name  string
		mount func(t *testing.T) string
		says  string
	}{
		{"overlayfs as in a container", withoutDevices, "put the store on a volume"},
		{"ramfs, which has no attributes", func(t *testing.T) string { return mountFor(t, "ramfs", "") }, "extended attributes"},
		{"vfat", func(t *testing.T) string {
			image := filepath.Join(t.TempDir(), "image")
			if out, err := exec.Command("mkfs.vfat", "-C", image, "10000").CombinedOutput(); err != nil {
				t.Skipf("needs mkfs.vfat: %v: %s", err, out)
			}
			dir := t.TempDir()
			if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
				t.Skipf("needs a kernel that mounts vfat: %v: %s", err, out)
			}
			unmountLater(t, dir)
			return dir
		}, "put the store on ext4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(c.mount(t), "store")
			s, err := Open(t.Context(), dir, Options{})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("error %v, want ErrUnsupported that says %q", err, c.says)
			}
			left, _ := filepath.Glob(dir + "/" + probe.Prefix + "*")
			if len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}
