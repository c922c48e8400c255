// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
)

func TestDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a/bundle")
	for range 2 { // a second time it is there
		d, err := OpenDir(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.WriteConfig(&specs.Spec{Version: "1.0.2"}), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]fs.FileMode{"": fs.ModeDir | 0o700, "config.json": 0o600} {
		if fi, err := os.Stat(filepath.Join(path, name)); err != nil || fi.Mode() != want {
			t.Errorf("%q is %v, %v, want %v", name, fi, err, want)
		}
	}
	raw, err := os.ReadFile(filepath.Join(path, "config.json"))
	if err != nil || !strings.Contains(string(raw), `"ociVersion": "1.0.2"`) {
		t.Errorf("%s, %v", raw, err)
	}
	if names, err := filepath.Glob(filepath.Join(path, ".tmp-*")); err != nil || len(names) > 0 {
		t.Errorf("left %q, %v", names, err)
	}
}

func TestDirKeepsOthersOut(t *testing.T) {
	path := t.TempDir()
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if os.Geteuid() != 0 {
		return
	}
	d, err = OpenDir(path, []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := fsat.Stat(d.dir)
	if err = errors.Join(err, d.Close()); err != nil || st.Mode&0o7777 != 0o710 || st.Gid != 100000 {
		t.Errorf("with a user namespace: mode %o, group %d, %v", st.Mode, st.Gid, err)
	}
}

// What another user has prepared leads nowhere.
func TestDirOfOthers(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(dir, outside string) error
		want  error // of OpenDir; nil: the config goes to its place
	}{
		"a link for the config":          {func(dir, outside string) error { return os.Symlink(outside+"/file", dir+"/config.json") }, nil},
		"a hard link for the config":     {func(dir, outside string) error { return os.Link(outside+"/file", dir+"/config.json") }, nil},
		"a FIFO for the config":          {func(dir, _ string) error { return unix.Mkfifo(dir+"/config.json", 0o666) }, nil},
		"a link for the root filesystem": {func(dir, outside string) error { return os.Symlink(outside, dir+"/rootfs") }, unix.ENOTDIR},
		"a file for the root filesystem": {func(dir, _ string) error { return os.WriteFile(dir+"/rootfs", nil, 0o600) }, unix.ENOTDIR},
		"a directory of another user":    {func(dir, _ string) error { return os.Chown(dir, 12345, 12345) }, errForeign},
		"a dangling link for the rootfs": {func(dir, _ string) error { return os.Symlink("none", dir+"/rootfs") }, unix.ENOTDIR},
		"a FIFO for the root filesystem": {func(dir, _ string) error { return unix.Mkfifo(dir+"/rootfs", 0o666) }, unix.ENOTDIR},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			dir, outside := base+"/bundle", base+"/outside"
			err := errors.Join(os.Mkdir(dir, 0o755), os.Mkdir(outside, 0o755), os.WriteFile(outside+"/file", []byte("precious"), 0o644), c.plant(dir, outside))
			if errors.Is(err, fs.ErrPermission) {
				t.Skip("needs root: ", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			d, err := OpenDir(dir, nil)
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if err == nil {
				if err := errors.Join(d.WriteConfig(&specs.Spec{}), d.Close()); err != nil {
					t.Fatal(err)
				}
				if fi, err := os.Lstat(dir + "/config.json"); err != nil || !fi.Mode().IsRegular() {
					t.Errorf("the config is %v, %v", fi, err)
				}
			}
			if raw, err := os.ReadFile(outside + "/file"); err != nil || string(raw) != "precious" {
				t.Errorf("the file outside is %q, %v", raw, err)
			}
		})
	}
}

// An image's accounts that are no files are not opened: a FIFO would be waited
// for.
func TestAccountsThatAreNoFiles(t *testing.T) {
	for name, plant := range map[string]func(path string) error{
		"a FIFO":           func(path string) error { return unix.Mkfifo(path, 0o666) },
		"a device":         func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(5, 2))) },
		"a socket":         func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o666, 0) },
		"a directory":      func(path string) error { return os.Mkdir(path, 0o755) },
		"a link outside":   func(path string) error { return os.Symlink("../../secret", path) },
		"a link to a FIFO": func(path string) error { return errors.Join(unix.Mkfifo(path+"2", 0o666), os.Symlink("passwd2", path)) },
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			d, err := OpenDir(base+"/bundle", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			err = errors.Join(os.WriteFile(base+"/bundle/secret", []byte("a:x:0:0::/:\n"), 0o600), os.Mkdir(d.Root+"/etc", 0o755), plant(d.Root+"/etc/passwd"))
			if errors.Is(err, fs.ErrPermission) {
				t.Skip("needs root: ", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			root, closeRoot, err := d.FS()
			if err != nil {
				t.Fatal(err)
			}
			defer closeRoot()
			if u, err := findUser(root, "a"); err == nil {
				t.Errorf("found %+v", u)
			}
			if _, err := root.Open("etc/passwd"); err == nil {
				t.Error("it was opened")
			}
		})
	}
}

func TestAccountsThroughALink(t *testing.T) {
	d, err := OpenDir(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = errors.Join(os.MkdirAll(d.Root+"/usr/lib", 0o755), os.Mkdir(d.Root+"/etc", 0o755),
		os.WriteFile(d.Root+"/usr/lib/passwd", []byte("a:x:5:6::/:\n"), 0o600), os.Symlink("../usr/lib/passwd", d.Root+"/etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	root, closeRoot, err := d.FS()
	if err != nil {
		t.Fatal(err)
	}
	defer closeRoot()
	if u, err := findUser(root, "a"); err != nil || u.UID != 5 || u.GID != 6 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestLabelsThatCommandRuntimes(t *testing.T) {
	for label, kept := range map[string]bool{
		"dev.gvisor.spec.mount.a": false, "io.katacontainers.config.hypervisor.path": false, "krun.ram_mib": false,
		"run.oci.handler": false, "run.oci.hooks.stderr": false, "module.wasm.image/variant": false, "org.systemd.property.ExecStart": false,
		"io.kubernetes.cri.container-type": false, "io.kubernetes.cri-o.Devices": false, "org.criu.config": false, "": false,
		"krunch": true, "org.opencontainers.image.title": true, "io.buildah.version": true, "com.example.dev.gvisor.x": true,
	} {
		s, notes, err := Convert([]byte(`{"config":{"Cmd":["/x"],"Labels":{"`+label+`":"v"}}}`), image(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, has := s.Annotations[label]; has != kept || (len(notes) == 0) != kept {
			t.Errorf("%q: kept %v, notes %q, want kept %v", label, has, notes, kept)
		}
	}
}

// A link that somebody else made does not lead to another directory, which
// would be shut to all others, and mounted over.
func TestDirBehindALinkOfOthers(t *testing.T) {
	for _, below := range []string{"", "/new"} {
		base := t.TempDir()
		err := errors.Join(os.Mkdir(base+"/outside", 0o755), os.Symlink("outside", base+"/link"), os.Lchown(base+"/link", 12345, 12345))
		if errors.Is(err, fs.ErrPermission) {
			t.Skip("needs root: ", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if d, err := OpenDir(base+"/link"+below, nil); !errors.Is(err, unix.ELOOP) {
			t.Fatalf("opened %v, error %v", d, err)
		}
		entries, rerr := os.ReadDir(base + "/outside")
		info, err := os.Stat(base + "/outside")
		if err := errors.Join(err, rerr); err != nil || info.Mode().Perm() != 0o755 || len(entries) != 0 {
			t.Errorf("the directory outside has %v, and mode %v: %v", entries, info.Mode(), err)
		}
	}
}

// A mount that came to stand elsewhere is missed.
func TestMountLedElsewhere(t *testing.T) {
	d, err := OpenDir(t.TempDir()+"/bundle", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.CheckMounted(); !errors.Is(err, unix.EXDEV) {
		t.Errorf("nothing is mounted: %v", err)
	}
}
