// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// TestRandomStacksWithoutDevices is TestRandomStacks in a store on overlayfs,
// which refuses devices 0:0, with whiteouts by attribute.
func TestRandomStacksWithoutDevices(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts overlays")
	}
	first, count := number(t, "LAYERCTL_SEED", 1), number(t, "LAYERCTL_STACKS", stacks())
	below := memory(t)
	for _, name := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(below, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", below)
	if os.Getenv(stacksIDs) != "" {
		options += ",userxattr"
	}
	dir := mounted(t, "overlay", options)
	if err := unix.Mknod(filepath.Join(dir, "device"), unix.S_IFCHR, 0); err == nil {
		t.Fatal("the filesystem takes devices 0:0")
	}
	b := newBench(t, dir, overlaystore.Options{Whiteouts: layer.XattrMarks})
	for _, seed := range []uint64{53, 123} { // they once listed whiteouts
		b.check(seed)
	}
	for seed := range max(1, count/10) {
		b.check(first + seed)
		if t.Failed() {
			t.FailNow()
		}
	}
}
