// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/scratch"
)

func TestKeeping(t *testing.T) {
	f, err := scratch.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	free, err := scratch.Free(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		reserve int64
		full    bool
	}{
		{"nothing in reserve", -1, false},
		{"less than there is", free / 2, false},
		{"more than there is", free * 2, true},
		{"all but a byte less than is written", free - 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &scratch.Keeping{File: f, Reserve: c.reserve}
			n, err := k.Write(make([]byte, 1<<20))
			if full := errors.Is(err, unix.ENOSPC); full != c.full || full && n != 0 {
				t.Errorf("%d bytes written, %v", n, err)
			}
		})
	}
}
