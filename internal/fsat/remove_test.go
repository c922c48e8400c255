// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRemoveAll(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		for name, plant := range map[string]func(dir string) error{
			"nothing":  func(string) error { return nil },
			"a file":   func(dir string) error { return os.WriteFile(dir+"/x", nil, 0) },
			"a link":   func(dir string) error { return os.Symlink("../../outside", dir+"/x") },
			"a FIFO":   func(dir string) error { return unix.Mkfifo(dir+"/x", 0) },
			"a socket": func(dir string) error { return unix.Mknod(dir+"/x", unix.S_IFSOCK|0o600, 0) },
			"a tree": func(dir string) error {
				return errors.Join(os.MkdirAll(dir+"/x/y/z", 0o755), os.WriteFile(dir+"/x/y/file", nil, 0o400), os.Symlink("/", dir+"/x/y/root"))
			},
			"directories that keep their owner out": func(dir string) error {
				return errors.Join(os.MkdirAll(dir+"/x/y/z", 0o755), os.WriteFile(dir+"/x/y/file", nil, 0),
					os.Chmod(dir+"/x/y/z", 0), os.Chmod(dir+"/x/y", 0), os.Chmod(dir+"/x", 0o400))
			},
			"more names than are read at once": func(dir string) error {
				errs := []error{os.Mkdir(dir+"/x", 0o755)}
				for i := range 1100 {
					errs = append(errs, os.WriteFile(fmt.Sprintf("%s/x/%d", dir, i), nil, 0o600))
				}
				return errors.Join(errs...)
			},
			"more levels than are open at once": func(dir string) error {
				path := dir + "/x"
				for range 3 * maxOpenDepth {
					path += "/d"
				}
				return os.MkdirAll(path, 0o755)
			},
		} {
			t.Run(name, func(t *testing.T) {
				base := t.TempDir()
				top := filepath.Join(base, "top")
				must(t, os.Mkdir(top, 0o755), os.Mkdir(base+"/outside", 0o755), os.WriteFile(base+"/outside/secret", nil, 0o600), plant(top))
				dir := open(t, top)
				must(t, RemoveAll(dir, "x"))
				if names, err := Names(dir); err != nil || len(names) > 0 {
					t.Errorf("left %q, error %v", names, err)
				}
				if _, err := os.Stat(base + "/outside/secret"); err != nil {
					t.Error("a link was followed")
				}
			})
		}
	})
}

func TestRemoveAllTakesOneName(t *testing.T) {
	dir, outside := tree(t)
	for _, name := range []string{"", ".", "..", "a/b", "../outside", "/tmp"} {
		if err := RemoveAll(dir, name); err == nil {
			t.Errorf("%q was removed", name)
		}
	}
	if _, err := os.Stat(outside + "/secret"); err != nil {
		t.Error(err)
	}
	if err := RemoveAll(dir, "none"); err != nil {
		t.Errorf("a missing name: %v", err)
	}
	if err := RemoveAllFD(int(dir.Fd()), "none", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing name: %v", err)
	}
}

func TestRemoveAllStops(t *testing.T) {
	dir, _ := tree(t)
	stopped := errors.New("stopped")
	calls := 0
	err := RemoveAllFD(int(dir.Fd()), "a", func() error {
		if calls++; calls == 3 {
			return stopped
		}
		return nil
	})
	if !errors.Is(err, stopped) || calls != 3 {
		t.Errorf("error %v after %d calls", err, calls)
	}
}

// The names of files that another user shares with us by hard links stay, and
// so do their modes.
func TestRemoveAllLeavesOtherNames(t *testing.T) {
	dir, outside := tree(t)
	secret := filepath.Join(outside, "secret")
	must(t, os.Link(secret, filepath.Join(dir.Name(), "a/secret")), os.Chmod(secret, 0o444), RemoveAll(dir, "a"))
	st, err := os.Stat(secret)
	if err != nil || st.Mode().Perm() != 0o444 {
		t.Errorf("the other name is %v, %v", st, err)
	}
}

// While a directory without rights is removed another process swaps it with a
// link: neither what the link leads to is removed, nor its mode changed.
func TestRemovalFollowsNoSwappedLink(t *testing.T) {
	eachUser(t, func(t *testing.T) {
		base := t.TempDir()
		top, outside := base+"/top", base+"/outside"
		must(t, os.Mkdir(top, 0o755), os.Mkdir(outside, 0o555), os.Symlink(outside, top+"/link"))
		dir := open(t, top)
		for range 60 {
			must(t, os.Mkdir(top+"/victim", 0o755), os.Chmod(top+"/victim", 0))
			var group sync.WaitGroup
			group.Go(func() {
				for range 20 {
					_ = unix.Renameat2(unix.AT_FDCWD, top+"/victim", unix.AT_FDCWD, top+"/link", unix.RENAME_EXCHANGE)
				}
			})
			_ = RemoveAll(dir, "victim") // what it finds there is gone or not
			group.Wait()
			must(t, RemoveAll(dir, "victim"), RemoveAll(dir, "link"), os.Symlink(outside, top+"/link"))
			st, err := os.Lstat(outside)
			must(t, err)
			if st.Mode().Perm() != 0o555 {
				t.Fatalf("mode of what a link leads to is %v", st.Mode())
			}
		}
	})
}

// A process that makes files all the time does not keep a removal going.
func TestRemovalEnds(t *testing.T) {
	top := t.TempDir()
	must(t, os.Mkdir(top+"/x", 0o755))
	dir := open(t, top)
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				_ = os.WriteFile(fmt.Sprintf("%s/x/%d", top, i), nil, 0o600)
			}
		}
	})
	if err := RemoveAll(dir, "x"); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		t.Error(err)
	}
	close(done)
	group.Wait()
	must(t, RemoveAll(dir, "x"))
}
