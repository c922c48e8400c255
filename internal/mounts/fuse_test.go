// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"os"
	"strings"
	"testing"
)

func TestParseDaemon(t *testing.T) {
	for cmdline, want := range map[string]string{
		"fuse-overlayfs\x00-o\x00ro,fsname=layerctl:x@0,lowerdir=2:1\x00/mnt\x00":                    "/mnt layerctl:x@0",
		"/usr/bin/fuse-overlayfs\x00-o\x00fsname=layerctl:x,lowerdir=1,upperdir=u\x00/a b\x00":       "/a b layerctl:x",
		"fuse-overlayfs\x00-o\x00lowerdir=2:1\x00/mnt\x00":                                           "",
		"cat\x00-o\x00fsname=layerctl:x\x00/mnt\x00":                                                 "",
		"fuse-overlayfs\x00-o\x00fsname=layerctl:x\x00":                                              "",
		strings.Repeat("/d", 4<<10) + "/fuse-overlayfs\x00-o\x00fsname=layerctl:x\x00/mnt\x00":       "/mnt layerctl:x",
		"erofsfuse\x00-o\x00ro,subtype=erofsfuse,fsname=/s/fix/a\\,b\x00--device=a\x00i\x00/mnt\x00": `/mnt /s/fix/a\`,
		"erofsfuse\x00-o\x00ro,fsname=layerctl:x\x00--device=a\x00i\x00/mnt\x00":                     "",
		"erofsfuse\x00i\x00/mnt\x00":                                                                 "",
		"":                                                                                           "",
	} {
		d, ok := parseDaemon(cmdline)
		got := d.target + " " + d.source
		if !ok {
			got = ""
		}
		if start := cmdline[:min(len(cmdline), 4<<10)]; ok && !startsAsDaemon([]byte(start)) {
			t.Errorf("%q is that of no daemon", start)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", cmdline, got, want)
		}
	}
}

// A mount by erofsfuse that a user made outside of a user namespace is the user's,
// whoever looks.
func TestOwnerOfEROFSFUSE(t *testing.T) {
	for option, want := range map[string]int{"user_id=0": os.Geteuid(), "user_id=12345": 12345, "rw": os.Geteuid()} {
		if got, err := Owner("self", Entry{Type: EROFSFUSEType, SuperOptions: []string{"ro", option}}); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", option, got, err, want)
		}
	}
	if got, err := Owner("self", Entry{Type: EROFSType, SuperOptions: []string{"user_id=12345"}}); err != nil || got != os.Geteuid() {
		t.Errorf("an option of another filesystem: %d, %v", got, err)
	}
}
