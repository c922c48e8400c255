// SPDX-License-Identifier: Apache-2.0

package layerdisk_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/layerdisk"
	"golang.org/x/sys/unix"
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
	if got, want := listing(t, memory, layerdisk.MemoryRoot), listing(t, kernel, int(dir.Fd())); got != want {
		t.Errorf("memory has %s, the kernel %s", got, want)
	}
}

func listing(t *testing.T, d layerdisk.Disk, root int) string {
	t.Helper()
	var list []string
	for name, err := range d.Names(root) {
		st, lerr := d.Lstat(root, name)
		if err != nil || lerr != nil {
			t.Fatal(err, lerr)
		}
		list = append(list, fmt.Sprintf("%s %o", name, st.Mode&unix.S_IFMT))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// Each call that changes something can be made to fail.
func TestFaults(t *testing.T) {
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
