// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/rootfs"
)

// A line begins with the type and the permissions as ls(1) shows them.
func TestLongFilesBeginWithTheMode(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		0o755:                              "-rwxr-xr-x",
		0:                                  "----------",
		fs.ModeDir | fs.ModeSticky | 0o777: "drwxrwxrwt",
		fs.ModeDir | fs.ModeSticky | fs.ModeSetgid: "d-----S--T",
		fs.ModeSetuid | fs.ModeSetgid | 0o755:      "-rwsr-sr-x",
		fs.ModeDevice | 0o600:                      "brw-------",
		fs.ModeDevice | fs.ModeCharDevice | 0o600:  "crw-------",
		fs.ModeNamedPipe | 0o644:                   "prw-r--r--",
		fs.ModeSymlink | 0o777:                     "lrwxrwxrwx",
	} {
		var line strings.Builder
		err := show.LongFiles(&line, []rootfs.File{{Path: "x", Mode: mode}})
		if got, _, _ := strings.Cut(line.String(), " "); err != nil || got != want {
			t.Errorf("%o: %s, %v, want %s", mode, got, err, want)
		}
	}
}
