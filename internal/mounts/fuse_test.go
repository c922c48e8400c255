// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"strings"
	"testing"
)

func TestParseDaemon(t *testing.T) {
	for cmdline, want := range map[string]string{
		"fuse-overlayfs\x00-o\x00ro,fsname=layerctl:x@0,lowerdir=2:1\x00/mnt\x00":              "/mnt layerctl:x@0",
		"/usr/bin/fuse-overlayfs\x00-o\x00fsname=layerctl:x,lowerdir=1,upperdir=u\x00/a b\x00": "/a b layerctl:x",
		"fuse-overlayfs\x00-o\x00lowerdir=2:1\x00/mnt\x00":                                     "",
		"cat\x00-o\x00fsname=layerctl:x\x00/mnt\x00":                                           "",
		"fuse-overlayfs\x00-o\x00fsname=layerctl:x\x00":                                        "",
		strings.Repeat("/d", 4<<10) + "/fuse-overlayfs\x00-o\x00fsname=layerctl:x\x00/mnt\x00": "/mnt layerctl:x",
		"": "",
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
