// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFree(t *testing.T) {
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if space, err := Free(int(f.Fd())); err != nil || space.Bytes <= 0 || space.Limited && space.Inodes == 0 {
		t.Errorf("got %+v, %v", space, err)
	}
	f.Close()
	if _, err := Free(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("of nothing: got %v, want %v", err, unix.EBADF)
	}
}
