// SPDX-License-Identifier: Apache-2.0

package erofsmount

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/mounts"
)

// A path that the kernel would not take is replaced for all devices.
func TestBelow(t *testing.T) {
	root, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	devices := []string{"layers/a/layer.erofs", "unsynced/b/layer.erofs"} // 20 and 22 bytes
	for _, c := range []struct{ path, want string }{
		{"/store", "/store"},
		{"/" + strings.Repeat("s", 231), "/" + strings.Repeat("s", 231)},
		{"/" + strings.Repeat("s", 232), mounts.DirPath(root)},
	} {
		got := below(root, c.path, devices)
		if want := []string{c.want + "/" + devices[0], c.want + "/" + devices[1]}; !slices.Equal(got, want) {
			t.Errorf("%d bytes: got %q, want %q", len(c.path), got, want)
		}
	}
}
