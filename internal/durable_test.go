// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
)

func names(t *testing.T, dir *os.File) []string {
	t.Helper()
	list, err := os.ReadDir(dir.Name())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// The n-th step of WriteFile fails, for every n: the old content stands until
// the rename, and no temporary file stays.
func TestWriteFileFaults(t *testing.T) {
	var steps []string
	for n := 0; ; n++ {
		dir := disktest.OpenTemp(t)
		if err := durable.WriteFile(t.Context(), dir, "f", []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		i, op := 0, ""
		ctx := durable.WithFault(t.Context(), func(s string) error {
			if i++; i-1 == n {
				op = s
				return unix.EIO
			}
			return nil
		})
		err := durable.WriteFile(ctx, dir, "f", []byte("new"), 0o600)
		if got, want := names(t, dir), []string{"f"}; !slices.Equal(got, want) {
			t.Errorf("step %d: directory holds %q, want %q", n, got, want)
		}
		got, _ := os.ReadFile(filepath.Join(dir.Name(), "f"))
		if op == "" {
			if err != nil || string(got) != "new" {
				t.Errorf("without a fault: content %q, error %v", got, err)
			}
			break
		}
		steps = append(steps, op)
		if !errors.Is(err, unix.EIO) {
			t.Errorf("step %q: error %v, want EIO", op, err)
		}
		want := "old"
		if op == "fsync dir" {
			want = "new"
		}
		if string(got) != want {
			t.Errorf("step %q: content %q, want %q", op, got, want)
		}
	}
	want := []string{"create file", "write file", "fsync file", "rename file", "fsync dir"}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
}

func TestWriteFileMode(t *testing.T) {
	dir := disktest.OpenTemp(t)
	if err := durable.WriteFile(t.Context(), dir, "f", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(dir.Name(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fi.Mode(), fs.FileMode(0o600); got != want {
		t.Errorf("mode %v, want %v", got, want)
	}
}

func TestRenameNoReplace(t *testing.T) {
	dir := disktest.OpenTemp(t)
	for _, name := range []string{"a", "b"} {
		if err := durable.Mkdir(t.Context(), dir, name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.RenameNoReplace(t.Context(), dir, "a", dir, "b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("rename onto a directory: %v, want fs.ErrExist", err)
	}
	if err := durable.RenameNoReplace(t.Context(), dir, "a", dir, "c"); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir.Name(), "b", "in-b"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.Exchange(t.Context(), dir, "b", dir, "c"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir.Name(), "c", "in-b")); err != nil {
		t.Errorf("after the exchange: %v", err)
	}
}

func TestOpenDirAtFollowsNoLink(t *testing.T) {
	dir := disktest.OpenTemp(t)
	if err := os.Symlink("/", filepath.Join(dir.Name(), "l")); err != nil {
		t.Fatal(err)
	}
	if f, err := durable.OpenDirAt(dir, "l"); err == nil {
		f.Close()
		t.Error("opened a directory through a symbolic link")
	}
}

func TestLock(t *testing.T) {
	dir := disktest.OpenTemp(t)
	unlock, err := durable.Lock(t.Context(), dir, "lock", durable.Exclusive, nil)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := durable.TryLock(t.Context(), dir, "lock", durable.Shared); err != nil || second != nil {
		t.Fatalf("a second lock: taken %v, error %v", second != nil, err)
	}
	waited := make(chan struct{})
	done := make(chan error)
	go func() {
		second, err := durable.Lock(t.Context(), dir, "lock", durable.Exclusive, func() { close(waited) })
		if err == nil {
			err = second()
		}
		done <- err
	}()
	<-waited
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A lock that was given back is free, although a program that is being started has a
// copy of its descriptor.
func TestUnlockBesideAFork(t *testing.T) {
	dir := disktest.OpenTemp(t)
	for name, lock := range map[string]func() (func() error, error){
		"Lock":    func() (func() error, error) { return durable.Lock(t.Context(), dir, "Lock", durable.Exclusive, nil) },
		"TryLock": func() (func() error, error) { return durable.TryLock(t.Context(), dir, "TryLock", durable.Exclusive) },
	} {
		unlock, err := lock()
		if err != nil {
			t.Fatal(err)
		}
		descriptors, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		copied := false
		for _, d := range descriptors {
			path, _ := os.Readlink("/proc/self/fd/" + d.Name())
			if fd, _ := strconv.Atoi(d.Name()); path == filepath.Join(dir.Name(), name) {
				own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(own) //nolint:errcheck // of a lock
				copied = true
			}
		}
		if err := unlock(); err != nil || !copied {
			t.Fatal(copied, err)
		}
		if unlock, err = durable.TryLock(t.Context(), dir, name, durable.Exclusive); err != nil || unlock == nil {
			t.Errorf("%s: it is still held, %v", name, err)
		} else if err := unlock(); err != nil {
			t.Error(err)
		}
	}
}

func TestLockGivesUpWithItsContext(t *testing.T) {
	dir := disktest.OpenTemp(t)
	unlock, err := durable.Lock(t.Context(), dir, "lock", durable.Shared, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	shared, err := durable.Lock(t.Context(), dir, "lock", durable.Shared, nil)
	if err != nil {
		t.Fatalf("a second shared lock: %v", err)
	}
	defer shared()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := durable.Lock(ctx, dir, "lock", durable.Exclusive, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want context.DeadlineExceeded", err)
	}
}

// TestMakeDirAt: what is there already is opened, and is no error.
func TestMakeDirAt(t *testing.T) {
	dir := disktest.OpenTemp(t)
	for _, c := range []struct {
		name  string
		open  func(context.Context, *os.File, string, os.FileMode) (*os.File, error)
		steps []string
	}{
		{"made", durable.OpenOrMakeDirAt, []string{"mkdir", "fsync dir"}},
		{"there", durable.OpenOrMakeDirAt, nil},
		{"there, and its name may not be durable", durable.MakeDirAt, []string{"mkdir", "fsync dir"}},
	} {
		var steps []string
		ctx := durable.WithFault(t.Context(), func(op string) error {
			steps = append(steps, op)
			return nil
		})
		f, err := c.open(ctx, dir, "folder", 0o700)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if st, err := f.Stat(); err != nil || st.Mode().Perm() != 0o700 || !slices.Equal(steps, c.steps) {
			t.Errorf("%s: %v, %v after %q, want %q", c.name, st.Mode(), err, steps, c.steps)
		}
		f.Close()
	}
	if err := os.WriteFile(filepath.Join(dir.Name(), "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.OpenOrMakeDirAt(t.Context(), dir, "file", 0o700); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file: got %v, want %v", err, unix.ENOTDIR)
	}
}
