// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/layerdisk"
)

// step is one call on the root of a disk.
type step struct {
	name string
	call func(d layerdisk.Disk, root int) error
}

func opening(path string) step {
	return step{"open " + path, func(d layerdisk.Disk, root int) error {
		fd, err := d.OpenBelow(root, path)
		if err == nil {
			err = d.Close(fd)
		}
		return err
	}}
}

// steps makes a tree, and asks for what cannot be.
var steps = []step{
	{"mkdir", func(d layerdisk.Disk, root int) error { return d.Mkdir(root, "dir") }},
	{"mkdir once more", func(d layerdisk.Disk, root int) error { return d.Mkdir(root, "dir") }},
	{"mkdir below", func(d layerdisk.Disk, root int) error {
		fd, err := d.OpenDir(root, "dir")
		if err != nil {
			return err
		}
		return errors.Join(d.Mkdir(fd, "sub"), d.Close(fd))
	}},
	{"create", func(d layerdisk.Disk, root int) error {
		fd, err := d.Create(root, "file")
		if err != nil {
			return err
		}
		return errors.Join(d.Write(fd, []byte("content")), d.Chmod(fd, 0o640), d.SetTimes(fd, unix.Timespec{Sec: 7}), d.Close(fd))
	}},
	{"create over a file", func(d layerdisk.Disk, root int) error {
		_, err := d.Create(root, "file")
		return err
	}},
	{"symlink", func(d layerdisk.Disk, root int) error { return d.Symlink("dir", root, "link") }},
	{"symlink over a directory", func(d layerdisk.Disk, root int) error { return d.Symlink("x", root, "dir") }},
	{"FIFO", func(d layerdisk.Disk, root int) error {
		return errors.Join(d.Mknod(root, "fifo", unix.S_IFIFO|0o600, 0), d.ChmodNode(root, "fifo", 0o644), d.SetTimesAt(root, "fifo", unix.Timespec{Sec: 7}))
	}},
	{"link", func(d layerdisk.Disk, root int) error { return d.Link(root, "file", root, "hard") }},
	{"link to nothing", func(d layerdisk.Disk, root int) error { return d.Link(root, "none", root, "hard2") }},
	{"link over a file", func(d layerdisk.Disk, root int) error { return d.Link(root, "file", root, "fifo") }},
	{"stat of nothing", func(d layerdisk.Disk, root int) error { _, err := d.Lstat(root, "none"); return err }},
	{"stat of a long name", func(d layerdisk.Disk, root int) error { _, err := d.Lstat(root, strings.Repeat("n", 256)); return err }},
	{"remove", func(d layerdisk.Disk, root int) error { return d.Unlink(root, "hard", 0) }},
	{"remove nothing", func(d layerdisk.Disk, root int) error { return d.Unlink(root, "none", 0) }},
	opening("dir"), opening("dir/sub"), opening("none"), opening("none/x"), opening("file"), opening("file/x"), opening("link"), opening("link/sub"), opening("fifo"),
	{"remove all", func(d layerdisk.Disk, root int) error { return d.RemoveAll(root, "dir") }},
	opening("dir"),
}

// Memory has the errors and the names that the kernel has.
func TestMemoryAnswersAsTheKernelDoes(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	kernel, memory := layerdisk.NewKernel(func(string) error { return nil }), layerdisk.NewMemory()
	for _, s := range steps {
		want, got := s.call(kernel, int(dir.Fd())), s.call(memory, layerdisk.MemoryRoot)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: memory says %v, the kernel %v", s.name, got, want)
		}
	}
	for name, err := range kernel.Names(int(dir.Fd())) {
		want, kerr := kernel.Lstat(int(dir.Fd()), name)
		got, merr := memory.Lstat(layerdisk.MemoryRoot, name)
		if err = errors.Join(err, kerr, merr); err != nil || got.Mode&unix.S_IFMT != want.Mode&unix.S_IFMT {
			t.Errorf("%s is %o in memory, %o to the kernel, %v", name, got.Mode, want.Mode, err)
		}
	}
}

// Many names are found again, those that were removed are not, and of all only
// whiteouts are listed.
func TestMemoryOfManyNames(t *testing.T) {
	m := layerdisk.NewMemory()
	defer m.Release()
	kept := int64(0)
	m.Keep = func(bytes int64) error { kept += bytes; return nil }
	const many = 50_000
	name := func(n int) string { return fmt.Sprint("name", n) }
	for n := range many {
		if err := m.Mknod(layerdisk.MemoryRoot, name(n), unix.S_IFREG, 0); err != nil {
			t.Fatal(err)
		}
		if n%7 == 0 {
			if err := errors.Join(m.Unlink(layerdisk.MemoryRoot, name(n), 0), m.Mknod(layerdisk.MemoryRoot, name(n), unix.S_IFCHR, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if n%5 == 0 {
			if err := m.Unlink(layerdisk.MemoryRoot, name(n), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	listed := 0
	for range m.Names(layerdisk.MemoryRoot) {
		listed++
	}
	whiteouts := 0
	for n := range many {
		st, err := m.Lstat(layerdisk.MemoryRoot, name(n))
		if gone := n%5 == 0; gone != (err == unix.ENOENT) || !gone && (st.Mode == unix.S_IFCHR) != (n%7 == 0) {
			t.Fatalf("%s: %o, %v", name(n), st.Mode, err)
		}
		if err == nil && n%7 == 0 {
			whiteouts++
		}
	}
	if listed != whiteouts || kept > 40*many {
		t.Errorf("%d names listed, want %d; %d bytes kept", listed, whiteouts, kept)
	}
}

// Each call that changes something can be made to fail.
func TestDiskFaults(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var asked []string
	d := layerdisk.NewKernel(func(op string) error { asked = append(asked, op); return unix.EIO })
	for _, s := range steps[:4] {
		if err := s.call(d, int(dir.Fd())); !errors.Is(err, unix.EIO) && err != unix.ENOENT {
			t.Errorf("%s: error = %v, want EIO", s.name, err)
		}
	}
	if got := strings.Join(asked, " "); got != "mkdir mkdir create" {
		t.Errorf("asked before %s", got)
	}
}
