// SPDX-License-Identifier: Apache-2.0

package layertest

import (
	"os"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// NeedsMount skips where nothing can be mounted.
func NeedsMount(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts")
	}
	c, err := mounts.OpenContext("overlay")
	if err != nil {
		t.Skipf("needs a kernel and rights to mount an overlay: %v", err)
	}
	c.Close()
}

// rootOfAll reports whether the caller is root outside any user namespace, for
// whom every id exists.
func rootOfAll() bool { return os.Geteuid() == 0 && probe.AllIDs() }

// NeedsRoot skips unless the caller is root outside any user namespace.
func NeedsRoot(t testing.TB, why string) {
	t.Helper()
	if !rootOfAll() {
		t.Skip("needs root: " + why)
	}
}

// UnmountLater unmounts target at the end of the test, if it is mounted.
func UnmountLater(t *testing.T, target string) {
	t.Helper()
	t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
			t.Errorf("unmount %q: %v", target, err)
		}
	})
}

// MemoryDir is a temporary directory in memory where there is one that can hold
// a store: what fails here is not the disk, so the test need not wait for it.
func MemoryDir(t *testing.T) string {
	t.Helper()
	dir := disktest.Memory(t)
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := probe.Form(t.Context(), root, layer.Form{}); err != nil {
		return t.TempDir()
	}
	return dir
}
