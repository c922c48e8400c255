// SPDX-License-Identifier: Apache-2.0

package show

import (
	"io/fs"
	"testing"
)

func TestModeWord(t *testing.T) {
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
		if got := modeWord(mode); got != want {
			t.Errorf("%o: %s, want %s", mode, got, want)
		}
	}
}
