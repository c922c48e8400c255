// SPDX-License-Identifier: Apache-2.0

package mounts

import "testing"

func TestParseDaemon(t *testing.T) {
	for cmdline, want := range map[string]string{
		"fuse-overlayfs\x00-o\x00ro,fsname=layerctl:x@0,lowerdir=2:1\x00/mnt\x00":              "/mnt layerctl:x@0",
		"/usr/bin/fuse-overlayfs\x00-o\x00fsname=layerctl:x,lowerdir=1,upperdir=u\x00/a b\x00": "/a b layerctl:x",
		"fuse-overlayfs\x00-o\x00lowerdir=2:1\x00/mnt\x00":                                     "",
		"cat\x00-o\x00fsname=layerctl:x\x00/mnt\x00":                                           "",
		"fuse-overlayfs\x00-o\x00fsname=layerctl:x\x00":                                        "",
		"": "",
	} {
		d, ok := parseDaemon(cmdline)
		got := d.target + " " + d.source
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %q, want %q", cmdline, got, want)
		}
	}
}
