// SPDX-License-Identifier: Apache-2.0

package erofstrial

import (
	"os"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/layertest"
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
