// SPDX-License-Identifier: Apache-2.0

package snapshotdir

import (
	"errors"
	"testing"
)

func TestLost(t *testing.T) {
	const file = "/var/lib/containerd/io.containerd.snapshotter.v1.erofs/snapshots/12/layer.erofs"
	for _, c := range []struct{ name, said, want string }{
		{"since 2.4", "the engine says: " + file + ": no erofs layer blob: file does not exist", file},
		{"before", "the engine says: failed to find valid erofs layer blob: stat " + file + ": no such file or directory", file},
		{"in a directory with a space", "the engine says: stat /a b/1/layer.erofs: no such file or directory", "/a b/1/layer.erofs"},
		{"another fault of it", "the engine says: stat " + file + ": input/output error", ""},
		{"another file", "the engine says: stat " + file + ".dmverity: no such file or directory", ""},
		{"a path that leads elsewhere", "the engine says: stat /a/../b/layer.erofs: no such file or directory", ""},
		{"no path", "the engine says: a/layer.erofs: no such file or directory", ""},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Lost(errors.New(c.said)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
