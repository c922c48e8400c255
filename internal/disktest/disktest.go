// SPDX-License-Identifier: Apache-2.0

package disktest

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/loopdevice"
)

// FS is a filesystem in a file, mounted at Dir.
type FS struct {
	Dir string

	t      *testing.T
	image  string
	kind   string // such as "ext4"
	device string // such as "/dev/loop7"
}

// New makes a filesystem of so many bytes with mkfs, such as "mkfs.ext4", and
// its arguments, and mounts it for the time of the test. It skips the test
// where that cannot be done.
func New(t *testing.T, size int64, mkfs string, args ...string) *FS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts loop devices")
	}
	tool, err := exec.LookPath(mkfs)
	if err != nil {
		if tool, err = exec.LookPath("/sbin/" + mkfs); err != nil {
			t.Skipf("needs %s", mkfs)
		}
	}
	f := &FS{t: t, image: filepath.Join(Memory(t), "image"), kind: strings.TrimPrefix(mkfs, "mkfs."), Dir: t.TempDir()}
	if err := os.WriteFile(f.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(f.image, size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, append(args, f.image)...).CombinedOutput(); err != nil {
		t.Skipf("needs %s: %v: %s", mkfs, err, out)
	}
	if err := f.mount(); err != nil {
		t.Skipf("needs a kernel that mounts what %s made, and loop devices: %v", mkfs, err)
	}
	t.Cleanup(f.unmount)
	return f
}

// Memory is a temporary directory that is in memory where there is such a
// place, else on the disk.
func Memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "layerctl-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// mount mounts the image by a loop device that goes with the mount. mount(8)
// would look at all loop devices there are.
func (f *FS) mount() error {
	loop, err := f.loop()
	if err != nil {
		return err
	}
	defer loop.Close()
	f.device = loop.Name()
	return os.NewSyscallError("mount", unix.Mount(loop.Name(), f.Dir, f.kind, 0, ""))
}

// loop makes a loop device of the image.
func (f *FS) loop() (*os.File, error) {
	control, err := loopdevice.Control()
	if err != nil {
		return nil, err
	}
	defer control.Close()
	image, err := os.OpenFile(f.image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	return loopdevice.New(control, image, loopdevice.Options{})
}

func (f *FS) unmount() {
	err := unix.Unmount(f.Dir, 0)
	// A sync that nobody waits for has it open until it ends.
	for begin := time.Now(); err == unix.EBUSY && time.Since(begin) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		err = unix.Unmount(f.Dir, 0)
	}
	if err != nil && err != unix.EINVAL {
		f.t.Errorf("unmount %s: %v", f.Dir, err)
	}
}

// Cut ends the filesystem as a power cut does: FS_IOC_SHUTDOWN without
// flushing the log. What was not synced is lost, and everything fails from now
// on.
func (f *FS) Cut() error {
	const shutdown, noLogFlush = 0x8004587d, uint32(2)
	dir, err := os.Open(f.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	flags := noLogFlush
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return errno
	}
	return nil
}

// Reboot mounts the filesystem again after a cut.
func (f *FS) Reboot() {
	f.t.Helper()
	f.unmount()
	// A process that made itself a mount namespace meanwhile has a copy of the
	// mount: until it ends, mounting again would give the dead filesystem.
	for begin := time.Now(); f.held(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			f.t.Fatalf("%s is still mounted in another mount namespace after a minute", f.image)
		}
	}
	if err := f.mount(); err != nil {
		f.t.Fatalf("mount after the cut: %v", err)
	}
}

// held reports whether the loop device still has the image.
func (f *FS) held() bool {
	backing, err := os.ReadFile("/sys/block/" + filepath.Base(f.device) + "/loop/backing_file")
	return err == nil && strings.TrimSpace(string(backing)) == f.image
}

// NumberLinks lets a new store's short links have numbers that no other store
// on this machine has. A mount from elsewhere may show no more of its layers
// than such numbers, and what it may mean prune spares.
func NumberLinks(store string) error {
	first := 1<<40 + rand.Uint64N(1<<50)
	return os.Symlink("../layers/none", filepath.Join(store, "l", strconv.FormatUint(first, 36)))
}
