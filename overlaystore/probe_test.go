// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// mountFor mounts a filesystem for a test, or skips.
func mountFor(t *testing.T, fstype, options string) string {
	t.Helper()
	needsRoot(t, "it mounts")
	dir := t.TempDir()
	if err := unix.Mount("layerctl-test", dir, fstype, 0, options); err != nil {
		t.Skipf("needs a kernel that mounts %s: %v", fstype, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// Where a store cannot keep its word it says so at once, and leaves nothing.
func TestOpenRefusesAFilesystem(t *testing.T) {
	for _, c := range []struct {
		name  string
		mount func(t *testing.T) string
		says  string
	}{
		{"overlayfs as in a container", withoutDevices, "put the store on a volume"},
		{"ramfs, which has no attributes", func(t *testing.T) string { return mountFor(t, "ramfs", "") }, "extended attributes"},
		{"vfat", func(t *testing.T) string {
			image := filepath.Join(t.TempDir(), "image")
			if out, err := exec.Command("mkfs.vfat", "-C", image, "10000").CombinedOutput(); err != nil {
				t.Skipf("needs mkfs.vfat: %v: %s", err, out)
			}
			dir := t.TempDir()
			if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
				t.Skipf("needs a kernel that mounts vfat: %v: %s", err, out)
			}
			unmountLater(t, dir)
			return dir
		}, "put the store on ext4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(c.mount(t), "store")
			s, err := Open(t.Context(), dir, Options{})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("error %v, want ErrUnsupported that says %q", err, c.says)
			}
			left, _ := filepath.Glob(dir + "/" + probePrefix + "*")
			if len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestProbeChoosesTheForm(t *testing.T) {
	dir := openTemp(t)
	if os.Geteuid() == 0 {
		t.Skip("needs an ordinary user; root's form is tested with Open")
	}
	f, err := probe(t.Context(), dir, wanted{})
	if err != nil {
		t.Skipf("needs a filesystem that can hold a store: %v", err)
	}
	if f.Xattrs != layer.UserXattrs || f.IDs != layer.SquashedIDs {
		t.Errorf("form %+v, want user attributes and squashed ids", f)
	}
}

func openTemp(t *testing.T) *os.File {
	t.Helper()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func TestMappedIDs(t *testing.T) {
	for _, c := range []struct {
		uidMap string
		want   uint64
	}{
		{"         0          0 4294967295\n", 1<<32 - 1},
		{"         0       1000          1\n", 1},
		{"0 1000 1\n1 100000 65536\n", 65537},
		{"", 0},
		{"nonsense\n0 0 -1\n", 0},
	} {
		if got := mappedIDs(strings.NewReader(c.uidMap)); got != c.want {
			t.Errorf("%q: %d ids, want %d", c.uidMap, got, c.want)
		}
	}
}

// The trial mount must notice a filesystem or a kernel on which marks have no
// effect.
func TestTrialMountNotices(t *testing.T) {
	needsMount(t)
	needsRoot(t, "it sets trusted attributes")
	root := openTemp(t)
	for _, c := range []struct {
		name string
		form Format
		ok   bool
	}{
		{"devices and trusted marks", Format{1, layer.Form{Whiteouts: layer.CharDevices, Xattrs: layer.TrustedXattrs, IDs: layer.HostIDs}}, true},
		{"devices and user marks", Format{1, layer.Form{Whiteouts: layer.CharDevices, Xattrs: layer.UserXattrs, IDs: layer.HostIDs}}, true},
		{"xattr whiteouts and user marks", Format{1, layer.Form{Whiteouts: layer.XattrMarks, Xattrs: layer.UserXattrs, IDs: layer.HostIDs}}, true},
		{"marks in a namespace that does not count", Format{1, layer.Form{Whiteouts: layer.CharDevices, Xattrs: "user.not", IDs: layer.HostIDs}}, false},
	} {
		name := filepath.Join(root.Name(), strings.ReplaceAll(c.name, " ", "-"))
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		dir, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tryOverlay(dir, c.form)
		dir.Close()
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
