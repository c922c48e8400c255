// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
)

func TestMountHelperArgs(t *testing.T) {
	for _, c := range []struct{ args, want, err string }{
		{"alpine /mnt", "mount --once --stack -- alpine /mnt", ""},
		{"alpine /mnt -o rw", "mount --once --stack -- alpine /mnt", ""},
		{"alpine /mnt -o ro,noexec,nosuid,nodev,nofail,_netdev,user,x-systemd.requires-mounts-for=/a,X-mount.mkdir,comment=c,defaults", "mount --once --stack --option noexec --option nosuid --option nodev -- alpine /mnt", ""},
		{"alpine /mnt -o rw,store=/a%20b%2Cc%22%25", `--store /a_b,c"% mount --once --stack -- alpine /mnt`, ""},
		{"alpine /mnt -fnv -o metacopy=on -t layerctl.x", "mount --once --stack --option metacopy=on --print --verbose -- alpine /mnt", ""},
		{"-o upper=/u,volatile alpine -ordonly=1 /mnt -s -owork=/w", "mount --once --stack --volatile --upper /u --work /w -- alpine /mnt", ""},
		{"alpine /mnt -o idmap=0:1:2,idmap=5:6:7", "mount --once --stack --idmap 0:1:2,5:6:7 -- alpine /mnt", ""},
		{"alpine /mnt -o bogus", "mount --once --stack --option bogus -- alpine /mnt", ""}, // refused by mount
		{"alpine /mnt -s -o bogus", "mount --once --stack -- alpine /mnt", ""},
		{"alpine /mnt -o ro,upper=/u,work=/w", "", "exclude each other"},
		{"alpine /mnt -r -o upper=/u,work=/w", "", "exclude each other"},
		{"alpine /mnt -o store=/s,platform=linux/arm%2Fv7", `--store /s --platform linux/arm/v7 mount --once --stack -- alpine /mnt`, ""},
		{"alpine /mnt -o platform=%zz", "", "invalid URL escape"},
		{"alpine /mnt -o store=relative", "", "no absolute path"},
		{"alpine /mnt -o store=/%zz", "", "no absolute path"},
		{"alpine /mnt -N /proc/1/ns/mnt", "", "another namespace"},
		{"alpine", "", "a reference and a directory"},
		{"alpine /mnt /more", "", "a reference and a directory"},
		{"alpine /mnt -q", "", "no flag -q"},
		{"alpine /mnt -o", "", "-o needs a value"},
	} {
		call, err := args.ParseMountHelper(strings.Fields(c.args))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %q", c.args, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		want := strings.Fields("layerctl " + c.want)
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "_b", " b")
		}
		if got := call.Command(); !slices.Equal(sortedFlags(got), sortedFlags(want)) {
			t.Errorf("%s: %q, want %q", c.args, got, want)
		}
	}
}

// sortedFlags makes the order of flags not matter.
func sortedFlags(args []string) []string {
	args = slices.Clone(args)
	slices.Sort(args)
	return args
}
