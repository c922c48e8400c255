// SPDX-License-Identifier: Apache-2.0

package containerd_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/containerd/containerd/api/types"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/engine/containerd/internal/snapshotdir"
	"github.com/layerctl/layerctl/internal/durable"
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
			if got := snapshotdir.Lost(errors.New(c.said)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// The kernel refuses to verify a file that somebody has open to be written
// (ETXTBSY), and the engine would have it do so.
func TestProbeIsOnlyRead(t *testing.T) {
	dir, err := durable.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	f, err := snapshotdir.Probe(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() != 4096 {
		t.Errorf("%v, %v", st, err)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_ACCMODE != unix.O_RDONLY {
		t.Errorf("flags %o, %v", flags, err)
	}
}

func TestParseOverlay(t *testing.T) {
	for _, c := range []struct {
		name string
		list []*types.Mount
		want snapshotdir.Overlay
		ok   bool
	}{
		{"to fill the lowest", []*types.Mount{{Type: "bind", Source: "/s/1/fs", Options: []string{"rw", "rbind"}}}, snapshotdir.Overlay{Upper: "/s/1/fs"}, true},
		{"to read the lowest", []*types.Mount{{Type: "bind", Source: "/s/1/fs", Options: []string{"ro", "rbind"}}}, snapshotdir.Overlay{Lower: []string{"/s/1/fs"}}, true},
		{"to fill another", []*types.Mount{{Type: "overlay", Options: []string{"index=off", "workdir=/s/3/work", "upperdir=/s/3/fs", "lowerdir=/s/2/fs:/s/1/fs"}}}, snapshotdir.Overlay{Upper: "/s/3/fs", Lower: []string{"/s/2/fs", "/s/1/fs"}}, true},
		{"to read several", []*types.Mount{{Type: "overlay", Options: []string{"lowerdir=/s/2/fs:/s/1/fs"}}}, snapshotdir.Overlay{Lower: []string{"/s/2/fs", "/s/1/fs"}}, true},
		{"none", nil, snapshotdir.Overlay{}, false},
		{"two", []*types.Mount{{Type: "bind"}, {Type: "overlay"}}, snapshotdir.Overlay{}, false},
		{"of another type", []*types.Mount{{Type: "erofs", Source: "/s/1/layer"}}, snapshotdir.Overlay{}, false},
		{"in a user namespace", []*types.Mount{{Type: "overlay", Options: []string{"userxattr", "upperdir=/s/3/fs"}}}, snapshotdir.Overlay{}, false},
		{"with mapped ids", []*types.Mount{{Type: "overlay", Options: []string{"uidmap=0:1:2", "upperdir=/s/3/fs"}}}, snapshotdir.Overlay{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := snapshotdir.ParseOverlay(c.list)
			if (err == nil) != c.ok || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestOptionsSize(t *testing.T) {
	const options = "index=off,workdir=/r/snapshots/113/work,upperdir=/r/snapshots/113/fs,lowerdir=12/fs:11/fs:10/fs:9/fs:"
	if got := snapshotdir.OptionsSize("/r/snapshots/9/fs", []string{"/r/snapshots/9/fs"}, 3); got != len(options) {
		t.Errorf("%d bytes, want %d", got, len(options))
	}
	if got := snapshotdir.OptionsSize("/somewhere/else", nil, 500); got != 0 {
		t.Errorf("directories of another kind take %d bytes", got)
	}
}

func TestIsBelow(t *testing.T) {
	for _, c := range []struct {
		lower, upper string
		want         bool
	}{
		{"/r/snapshots/3/fs", "", true},
		{"/other/snapshots/3/fs", "", false},
		{"3/fs", "/r/snapshots/9/fs", true},
		{"3/fs", "/other/snapshots/9/fs", false},
		{"3/fs", "", true},
	} {
		if got := snapshotdir.IsBelow("/r/snapshots", c.lower, c.upper); got != c.want {
			t.Errorf("%s of a mount with %q above: %v", c.lower, c.upper, got)
		}
	}
}
