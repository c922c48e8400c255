// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"reflect"
	"testing"

	"github.com/containerd/containerd/api/types"
)

func TestParseMount(t *testing.T) {
	for _, c := range []struct {
		name string
		list []*types.Mount
		want mounted
		ok   bool
	}{
		{"to fill the lowest", []*types.Mount{{Type: "bind", Source: "/s/1/fs", Options: []string{"rw", "rbind"}}}, mounted{upper: "/s/1/fs"}, true},
		{"to read the lowest", []*types.Mount{{Type: "bind", Source: "/s/1/fs", Options: []string{"ro", "rbind"}}}, mounted{lower: []string{"/s/1/fs"}}, true},
		{"to fill another", []*types.Mount{{Type: "overlay", Options: []string{"index=off", "workdir=/s/3/work", "upperdir=/s/3/fs", "lowerdir=/s/2/fs:/s/1/fs"}}}, mounted{upper: "/s/3/fs", lower: []string{"/s/2/fs", "/s/1/fs"}}, true},
		{"to read several", []*types.Mount{{Type: "overlay", Options: []string{"lowerdir=/s/2/fs:/s/1/fs"}}}, mounted{lower: []string{"/s/2/fs", "/s/1/fs"}}, true},
		{"none", nil, mounted{}, false},
		{"two", []*types.Mount{{Type: "bind"}, {Type: "overlay"}}, mounted{}, false},
		{"of another type", []*types.Mount{{Type: "erofs", Source: "/s/1/layer"}}, mounted{}, false},
		{"in a user namespace", []*types.Mount{{Type: "overlay", Options: []string{"userxattr", "upperdir=/s/3/fs"}}}, mounted{}, false},
		{"with mapped ids", []*types.Mount{{Type: "overlay", Options: []string{"uidmap=0:1:2", "upperdir=/s/3/fs"}}}, mounted{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseMount(c.list)
			if (err == nil) != c.ok || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}
