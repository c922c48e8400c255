// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/scratch"
)

func TestKeeping(t *testing.T) {
	shared := t.TempDir()
	for _, c := range []struct {
		name    string
		reserve func(free int64) int64
		own     bool // on a filesystem that nobody else writes to or removes from
		full    bool
	}{
		{"nothing in reserve", func(int64) int64 { return -1 }, false, false},
		{"less than there is", func(free int64) int64 { return free / 2 }, true, false},
		{"more than there is", func(free int64) int64 { return free * 2 }, true, true},
		{"all but a byte less than is written", func(free int64) int64 { return free - 1<<20 + 1 }, true, true},
		{"all but what is written", func(free int64) int64 { return free - 1<<20 }, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := shared
			if c.own {
				dir = anotherFilesystem(t)
			}
			f, err := scratch.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			free, err := scratch.Free(f)
			if err != nil {
				t.Fatal(err)
			}
			k := &scratch.Keeping{File: f, Reserve: c.reserve(free)}
			n, err := k.Write(make([]byte, 1<<20))
			if full := errors.Is(err, unix.ENOSPC); full != c.full || full && n != 0 {
				t.Errorf("%d bytes written, %v", n, err)
			}
		})
	}
}
