// SPDX-License-Identifier: Apache-2.0

package disktest

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// enough is the room that a place in memory must have: tests of several
// packages share it.
const enough = 1 << 30

// InMemory runs tests with their temporary directories in memory, where there
// is room, and returns their exit code: they make many small files, which costs
// a disk most of their time. They stay where $TMPDIR says, if it says something,
// and on the disk with LAYERCTL_FULL=1. As they make much garbage and keep little,
// the collector lets the heap grow further than it does by default.
//
// It belongs in TestMain, around m.Run; [Apart] has it.
func InMemory(run func() int) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("TMPDIR") != "" || os.Getenv("LAYERCTL_FULL") == "1" || !hasRoom("/dev/shm") {
		return run()
	}
	dir, err := os.MkdirTemp("/dev/shm", "layerctl-test-")
	if err != nil {
		return run()
	}
	defer os.RemoveAll(dir)
	// As /tmp is: tests become other users.
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil || !keepsAttributes(dir) {
		return run()
	}
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return run()
	}
	return run()
}

// hasRoom says whether a place is in memory, has room and runs programs.
func hasRoom(dir string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return false
	}
	inMemory := fs.Type == unix.TMPFS_MAGIC && fs.Flags&unix.ST_NOEXEC == 0
	return inMemory && fs.Bavail*uint64(fs.Bsize) >= enough && available() >= enough
}

// available are the bytes of memory that programs can have without swapping,
// as proc(5) has them; 0 where it does not say.
func available() uint64 {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(raw), "\nMemAvailable:")
	line, _, _ := strings.Cut(after, " kB")
	kib, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// keepsAttributes says whether files in a directory can have attributes of
// users, which Linux's filesystem in memory has since 6.6.
func keepsAttributes(dir string) bool {
	return unix.Setxattr(dir, "user.layerctl.test", []byte("x"), 0) == nil && unix.Removexattr(dir, "user.layerctl.test") == nil
}

// OpenTemp opens a temporary directory until the test ends.
func OpenTemp(t testing.TB) *os.File {
	t.Helper()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}
