// SPDX-License-Identifier: Apache-2.0

package fsat

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
)

func TestMain(m *testing.M) { os.Exit(disktest.Apart(m.Run)) }

// tree makes a directory with something of each type in it, beside a secret
// that must not be reached.
func tree(t *testing.T) (dir *os.File, outside string) {
	t.Helper()
	base := t.TempDir()
	outside = filepath.Join(base, "outside")
	top := filepath.Join(base, "top")
	must(t,
		os.MkdirAll(filepath.Join(top, "a/b"), 0o755),
		os.Mkdir(outside, 0o755),
		os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644),
		os.WriteFile(filepath.Join(top, "a/b/file"), []byte("content"), 0o644),
		os.Symlink(outside, filepath.Join(top, "out")),
		os.Symlink("../../outside", filepath.Join(top, "a/out")),
		os.Symlink("a", filepath.Join(top, "in")),
		os.Symlink("file", filepath.Join(top, "a/b/link")),
		os.Symlink("/proc/self/root", filepath.Join(top, "magic")),
		os.Symlink("none", filepath.Join(top, "dangling")),
		os.Symlink("loop", filepath.Join(top, "loop")),
		unix.Mkfifo(filepath.Join(top, "fifo"), 0o644),
	)
	return open(t, top), outside
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

const userVariable = "LAYERCTL_TEST_AS_USER"

// eachUser runs a test as it is and, where that is root, once more as an
// ordinary user in a process of its own.
func eachUser(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if os.Getenv(userVariable) != "" || os.Geteuid() != 0 {
		test(t)
		return
	}
	t.Run("root", test)
	t.Run("ordinary user", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.Chmod(dir, 0o777), os.Chmod(filepath.Dir(dir), 0o755))
		name := filepath.Dir(t.Name())
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+name+"$", "-test.count=1")
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), userVariable+"=1", "TMPDIR="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes devices and mounts")
	}
}
