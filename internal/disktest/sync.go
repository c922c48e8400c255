// SPDX-License-Identifier: Apache-2.0

package disktest

import (
	"os"

	"golang.org/x/sys/unix"
)

// Tries is how often a test cuts the power before it says that a sync that was
// left out is none that counts: the kernel may write things out by itself at any
// moment, and any process may have it do so.
const Tries = 10

// Sync writes out the filesystem that holds path, and no other: sync(2) would
// write out what the power cut of another test is about to lose.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}
