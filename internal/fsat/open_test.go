// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// waysBelow are the two ways to resolve a path; they must agree.
var waysBelow = map[string]func(dir int, path string, flags int) (int, error){
	"openat2": openBelow,
	"walk": func(dir int, path string, flags int) (int, error) {
		if err := checkPath(path); err != nil {
			return -1, err
		}
		return walkBelow(dir, path, flags)
	},
}

func TestPathsStayBelow(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		dir, _ := tree(t)
		for way, openWay := range waysBelow {
			for _, c := range []struct {
				path string
				want error // nil: found
			}{
				{".", nil}, {"a", nil}, {"a/b/file", nil}, {"./a/./b", nil}, {"fifo", nil},
				{"out", nil}, {"magic", nil}, {"loop", nil}, {"a/b/link", nil}, // the links themselves
				{"", unix.ENOENT}, {"a/", unix.ENOENT}, {"a//b", unix.ENOENT}, {"none", unix.ENOENT},
				{"/", unix.EXDEV}, {"/etc/passwd", unix.EXDEV}, {"..", unix.EXDEV}, {"../outside/secret", unix.EXDEV},
				{"a/..", unix.EXDEV}, {"a/../../outside/secret", unix.EXDEV}, {"a/../a", unix.EXDEV},
				{"out/secret", unix.ELOOP}, {"a/out/secret", unix.ELOOP}, {"in/b/file", unix.ELOOP},
				{"magic/etc/passwd", unix.ELOOP}, {"loop/x", unix.ELOOP}, {"dangling/x", unix.ELOOP},
				{"a/b/file/x", unix.ENOTDIR}, {"fifo/x", unix.ENOTDIR},
				{"a\x00/../../outside", unix.EINVAL}, {strings.Repeat("n", 300), unix.ENAMETOOLONG},
			} {
				fd, err := openWay(int(dir.Fd()), c.path, findFlags)
				if err == nil {
					must(t, unix.Close(fd))
				}
				// The walk asks for a directory, and a link is none.
				if c.want == unix.ELOOP && err == unix.ENOTDIR {
					continue
				}
				if strings.Contains(c.path, "\x00") && err == unix.EXDEV {
					continue
				}
				if err != c.want {
					t.Errorf("%s %q: error %v, want %v", way, c.path, err, c.want)
				}
			}
		}
	})
}

func TestMagicLinkIsNotFollowed(t *testing.T) {
	proc := open(t, "/proc/self")
	for way, openWay := range waysBelow {
		for _, path := range []string{"root/etc/passwd", "cwd/open_test.go", "fd/0/x"} {
			if fd, err := openWay(int(proc.Fd()), path, findFlags); err != unix.ELOOP && err != unix.ENOTDIR {
				t.Errorf("%s %s: descriptor %d, error %v, want a refusal", way, path, fd, err)
			}
		}
	}
}

func TestMountIsNotEntered(t *testing.T) {
	needsRoot(t)
	dir, outside := tree(t)
	point := filepath.Join(dir.Name(), "a/b")
	for name, mount := range map[string]func() error{
		"another filesystem": func() error { return unix.Mount("tmpfs", point, "tmpfs", 0, "") },
		"a bind mount":       func() error { return unix.Mount(outside, point, "", unix.MS_BIND, "") },
	} {
		t.Run(name, func(t *testing.T) {
			if err := mount(); err != nil {
				t.Skip(err)
			}
			defer func() { must(t, unix.Unmount(point, 0)) }()
			for way, openWay := range waysBelow {
				for _, path := range []string{"a/b", "a/b/secret"} {
					if fd, err := openWay(int(dir.Fd()), path, findFlags); err != unix.EXDEV {
						t.Errorf("%s %s: descriptor %d, error %v, want %v", way, path, fd, err, unix.EXDEV)
					}
				}
			}
			if err := RemoveAll(dir, "a"); !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.EBUSY) {
				t.Errorf("remove: error %v, want %v", err, unix.EXDEV)
			}
			if _, err := os.Stat(filepath.Join(outside, "secret")); err != nil {
				t.Error("the removal went through a mount")
			}
		})
	}
}

func TestPathLongerThanTheKernelTakes(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		top := open(t, t.TempDir())
		name := strings.Repeat("d", 200)
		at, err := OpenDir(top, ".")
		must(t, err)
		const depth = 30 // of 201 bytes, with 4096 the limit
		for range depth {
			must(t, unix.Mkdirat(int(at.Fd()), name, 0o755))
			next, err := OpenDir(at, name)
			must(t, err, at.Close())
			at = next
		}
		f, err := Create(at, "file", 0o600)
		must(t, err, f.Close(), at.Close())
		found, err := OpenFile(top, strings.Repeat(name+"/", depth)+"file")
		must(t, err)
		must(t, found.Close(), RemoveAll(top, name))
	})
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		dir, outside := tree(t)
		for path, want := range map[string]error{
			"a/b/file": nil, "fifo": ErrNotRegular, "a": ErrNotRegular, ".": ErrNotRegular, "out": ErrNotRegular,
			"a/b/link": ErrNotRegular, "magic": ErrNotRegular, "none": fs.ErrNotExist,
		} {
			f, err := OpenFile(dir, path)
			if err == nil {
				must(t, f.Close())
			}
			if !errors.Is(err, want) {
				t.Errorf("%s: error %v, want %v", path, err, want)
			}
		}
		for path, want := range map[string]error{
			filepath.Join(outside, "secret"): nil, filepath.Join(dir.Name(), "a/b/link"): nil,
			filepath.Join(dir.Name(), "fifo"): ErrNotRegular, filepath.Join(dir.Name(), "out"): ErrNotRegular,
			"/dev/null": ErrNotRegular, "/dev/ptmx": ErrNotRegular, filepath.Join(dir.Name(), "loop"): unix.ELOOP,
		} {
			f, err := OpenNamed(path)
			if err == nil {
				must(t, f.Close())
			}
			if !errors.Is(err, want) {
				t.Errorf("%s: error %v, want %v", path, err, want)
			}
		}
	})
}

// Opening a terminal multiplexer gives a new terminal each time, so it shows
// whether a device was opened.
func TestDevicesAreNotOpened(t *testing.T) {
	needsRoot(t)
	dir, _ := tree(t)
	point := filepath.Join(dir.Name(), "device")
	if err := unix.Mknod(point, unix.S_IFCHR|0o666, int(unix.Mkdev(5, 2))); err != nil {
		t.Skip(err)
	}
	before, err := os.ReadDir("/dev/pts")
	if err != nil {
		t.Skip(err)
	}
	if _, err := OpenFile(dir, "device"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("error %v, want %v", err, ErrNotRegular)
	}
	if _, err := OpenDir(dir, "device"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("error %v, want %v", err, unix.ENOTDIR)
	}
	after, err := os.ReadDir("/dev/pts")
	must(t, err)
	if len(after) > len(before) {
		t.Error("the device was opened")
	}
}

// The holder of a lease is told when its file is opened, and the open waits
// for it where it may.
func TestOpenDoesNotWaitForALease(t *testing.T) {
	dir, _ := tree(t)
	f, err := OpenFile(dir, "a/b/file")
	must(t, err)
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skip("no leases here: ", err)
	}
	if again, err := OpenFile(dir, "a/b/file"); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("opened %v, error %v, want %v", again, err, unix.EAGAIN)
	}
}

func TestModesForbid(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		dir, _ := tree(t)
		must(t, os.Chmod(filepath.Join(dir.Name(), "a/b/file"), 0), os.Chmod(filepath.Join(dir.Name(), "a/b"), 0))
		defer os.Chmod(filepath.Join(dir.Name(), "a/b"), 0o700)
		f, err := OpenFile(dir, "a/b/file")
		if os.Geteuid() == 0 {
			must(t, err, f.Close())
		} else if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("error %v, want %v", err, fs.ErrPermission)
		}
		if f, err := Find(dir, "a/b"); err != nil {
			t.Error(err)
		} else {
			must(t, f.Close())
		}
	})
}

func TestCreateTakesNoExistingName(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		dir, outside := tree(t)
		must(t, os.Symlink(filepath.Join(outside, "new"), filepath.Join(dir.Name(), "planted")))
		for _, name := range []string{"fifo", "out", "dangling", "planted", "a", "magic"} {
			if _, err := Create(dir, name, 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: error %v, want %v", name, err, fs.ErrExist)
			}
		}
		for _, name := range []string{"", ".", "..", "a/new", "../new", "/tmp/new"} {
			if _, err := Create(dir, name, 0o600); err == nil {
				t.Errorf("%q was made", name)
			}
		}
		if _, err := os.Lstat(filepath.Join(outside, "new")); err == nil {
			t.Error("a file was made through a link")
		}
	})
}

// Another process swaps a directory and a link to outside. Whatever the open
// finds, it is never the secret.
func TestSwappedNamesLeadNowhere(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		dir, _ := tree(t)
		top := dir.Name()
		must(t, os.WriteFile(filepath.Join(top, "a/b/secret"), []byte("ours"), 0o644), os.Rename(filepath.Join(top, "a/b"), filepath.Join(top, "swapped")))
		stop := swap(t, filepath.Join(top, "swapped"), filepath.Join(top, "out"))
		defer stop()
		for way, openWay := range waysBelow {
			for range 3000 {
				fd, err := openWay(int(dir.Fd()), "swapped/secret", findFlags)
				if err != nil {
					continue
				}
				found := os.NewFile(uintptr(fd), "found")
				f, err := Reopen(found)
				must(t, err, found.Close())
				got, err := io.ReadAll(f)
				must(t, err, f.Close())
				if string(got) != "ours" {
					t.Fatalf("%s: read %q through a link", way, got)
				}
			}
		}
	})
}

// A regular file that is swapped with a FIFO is opened itself, or nothing is:
// an open of the FIFO would wait for ever.
func TestSwappedFIFO(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		dir, _ := tree(t)
		stop := swap(t, filepath.Join(dir.Name(), "a/b/file"), filepath.Join(dir.Name(), "fifo"))
		defer stop()
		for range 3000 {
			f, err := OpenFile(dir, "fifo")
			switch {
			case err == nil:
				must(t, f.Close())
			case !errors.Is(err, ErrNotRegular):
				t.Fatal(err)
			}
		}
	})
}

// swap exchanges two names until the answer is called.
func swap(t *testing.T, a, b string) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	return func() {
		close(done)
		group.Wait()
	}
}

// In a root filesystem links lead to its own files.
func TestFilesStayInTheirRoot(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		dir, _ := tree(t)
		top := dir.Name()
		must(t, os.Symlink("/a/b/file", top+"/absolute"), os.Symlink("../../../../a/b/file", top+"/above"), os.Symlink("/outside/secret", top+"/stolen"), os.Symlink("fifo", top+"/tofifo"))
		for name, want := range map[string]error{
			"a/b/file": nil, "a/b/link": nil, "in/b/link": nil, "absolute": nil, "above": nil,
			"stolen": fs.ErrNotExist, "out/secret": fs.ErrNotExist, "magic/etc/passwd": fs.ErrNotExist, "loop": unix.ELOOP,
			"fifo": ErrNotRegular, "tofifo": ErrNotRegular, "a": ErrNotRegular, "../outside/secret": fs.ErrInvalid,
		} {
			got, err := fs.ReadFile(Files(dir), name)
			if !errors.Is(err, want) || err == nil && string(got) != "content" {
				t.Errorf("%s: %q, error %v, want %v", name, got, err, want)
			}
		}
	})
}
