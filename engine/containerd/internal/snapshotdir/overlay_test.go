// SPDX-License-Identifier: Apache-2.0

package snapshotdir

import (
	"reflect"
	"testing"

	"github.com/containerd/containerd/api/types"
)

func TestParseOverlay(t *testing.T) {
	for _, c := range []struct {
		name string
		list []*types.Mount
		want Overlay
		ok   bool
	}{
		{"to fill the lowest", []*types.Mount{{Type: "bind", Source: "/s/1/fs", Options: []string{"rw", "rbind"}}}, Overlay{Upper: "/s/1/fs"}, true},
		{"to read the lowest", []*types.Mount{{Type: "bind", Source: "/s/1/fs", Options: []string{"ro", "rbind"}}}, Overlay{Lower: []string{"/s/1/fs"}}, true},
		{"to fill another", []*types.Mount{{Type: "overlay", Options: []string{"index=off", "workdir=/s/3/work", "upperdir=/s/3/fs", "lowerdir=/s/2/fs:/s/1/fs"}}}, Overlay{Upper: "/s/3/fs", Lower: []string{"/s/2/fs", "/s/1/fs"}}, true},
		{"to read several", []*types.Mount{{Type: "overlay", Options: []string{"lowerdir=/s/2/fs:/s/1/fs"}}}, Overlay{Lower: []string{"/s/2/fs", "/s/1/fs"}}, true},
		{"none", nil, Overlay{}, false},
		{"two", []*types.Mount{{Type: "bind"}, {Type: "overlay"}}, Overlay{}, false},
		{"of another type", []*types.Mount{{Type: "erofs", Source: "/s/1/layer"}}, Overlay{}, false},
		{"in a user namespace", []*types.Mount{{Type: "overlay", Options: []string{"userxattr", "upperdir=/s/3/fs"}}}, Overlay{}, false},
		{"with mapped ids", []*types.Mount{{Type: "overlay", Options: []string{"uidmap=0:1:2", "upperdir=/s/3/fs"}}}, Overlay{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseOverlay(c.list)
			if (err == nil) != c.ok || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestOptionsSize(t *testing.T) {
	const options = "index=off,workdir=/r/snapshots/113/work,upperdir=/r/snapshots/113/fs,lowerdir=12/fs:11/fs:10/fs:9/fs:"
	if got := OptionsSize("/r/snapshots/9/fs", []string{"/r/snapshots/9/fs"}, 3); got != len(options) {
		t.Errorf("%d bytes, want %d", got, len(options))
	}
	if got := OptionsSize("/somewhere/else", nil, 500); got != 0 {
		t.Errorf("directories of another kind take %d bytes", got)
	}
}
