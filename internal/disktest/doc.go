// SPDX-License-Identifier: Apache-2.0

// Package disktest makes filesystems for tests: in a file, so that their power
// can be cut and their room used up, or in memory, where a sync costs nothing.
//
// Most callers want [New], and [FS.Cut] and [FS.Reboot] around what is tested:
//
//	fs := disktest.New(t, 320<<20, "mkfs.ext4", "-q", "-F")
//	… // write to fs.Dir
//	err := fs.Cut()
//	fs.Reboot()
//	… // look at what is still in fs.Dir
//
// Not promised: anything to an ordinary user; New then skips the test.
package disktest
