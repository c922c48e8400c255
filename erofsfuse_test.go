// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
)

// An image of a store of tars that erofsfuse mounts, be it by a mount line, is
// known as the kernel's mounts are, its files are read and written, and its process
// ends with it.
func TestMountByEROFSFUSE(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	layertest.NeedsEROFSFUSE(t)
	b := newBench(t, filepath.Join(memory(t), `a,b c:d\,dev=1 $x 'y'`), overlaystore.Options{Lower: layer.Tars, NoSync: true})
	layers, _ := stack(1)
	image, err := b.put(layers, false)
	if err != nil {
		t.Fatal(err)
	}
	base := mounted(t, "tmpfs", "")
	own := overlaymount.Options{Writable: true, Upper: filepath.Join(base, "up,per"), Work: filepath.Join(base, "wo:rk")}
	b.target = filepath.Join(base, "target, with:all")
	if err := errors.Join(os.Mkdir(own.Upper, 0o755), os.Mkdir(own.Work, 0o755), os.Mkdir(b.target, 0o755)); err != nil {
		t.Fatal(err)
	}
	kernel, err := b.view(image)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]overlaymount.Options{
		"read-only": {Options: []string{"noexec"}}, "with suid": {Options: []string{"suid"}}, "an upper in the store": {Writable: true, Options: []string{"noexec"}}, "an own upper": own,
	} {
		for _, printed := range []bool{false, true} {
			if printed && o.Writable && o.Upper == "" {
				continue // it goes with the mount of the command that printed it
			}
			t.Run(name, func(t *testing.T) {
				o.Driver = overlaymount.EROFSFUSEDriver
				b.mountSo(t, image, o, printed)
				if got := listTree(t, b.target); !o.Writable && compare(got, kernel) != "" {
					t.Errorf("another tree than the kernel's:\n%s", compare(got, kernel))
				}
				b.checkMounted(t, image, o)
				if err := b.unmount(); err != nil {
					t.Error(err)
				}
				b.awaitNoEROFSFUSE(t)
			})
		}
	}
}

// mountSo mounts an image as o says, or runs the line that does.
func (b *bench) mountSo(t *testing.T, image overlaystore.Image, o overlaymount.Options, printed bool) {
	t.Helper()
	m, err := overlaymount.Assemble(t.Context(), b.store, image, o)
	if err != nil {
		t.Fatal(err)
	}
	if !printed {
		if err := m.Mount(t.Context(), b.target); err != nil {
			t.Fatal(err)
		}
		return
	}
	line, err := m.Line(b.target)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%s\n%v: %s", line, err, out)
	}
}

// checkMounted looks at what is mounted.
func (b *bench) checkMounted(t *testing.T, image overlaystore.Image, o overlaymount.Options) {
	t.Helper()
	got, ok, err := b.store.MountedAt(t.Context(), b.target)
	if err != nil || !ok || got.Manifest != image.Manifest || got.Writable != o.Writable || got.Type != map[bool]string{true: "overlay", false: "fuse.erofsfuse"}[o.Writable] {
		t.Errorf("mounted: %+v, %v, %v", got, ok, err)
	}
	for flag, want := range map[string]bool{"nodev": true, "nosuid": !slices.Contains(o.Options, "suid"), "noexec": slices.Contains(o.Options, "noexec")} {
		if slices.Contains(got.Flags, flag) != want {
			t.Errorf("flags %v, want %s: %v", got.Flags, flag, want)
		}
	}
	list, err := b.store.Mounts(t.Context())
	if err != nil || !slices.ContainsFunc(list, func(m overlaystore.Mounted) bool {
		return m.Target == b.target && m.Manifest == image.Manifest && m.PID == "self"
	}) {
		t.Errorf("the list of mounts: %+v, %v", list, err)
	}
	if err := os.WriteFile(filepath.Join(b.target, "new"), []byte("new"), 0o600); (err == nil) != o.Writable {
		t.Errorf("writing: %v", err)
	}
	left, err := filepath.Glob(quoteGlob(b.store.Path()) + "/.probe-*")
	if err != nil || len(left) > 0 {
		t.Errorf("left in the store: %q, %v", left, err)
	}
}

func quoteGlob(path string) string { return strings.ReplaceAll(path, `\`, `\\`) }

// awaitNoEROFSFUSE waits until no process of erofsfuse is of the store.
func (b *bench) awaitNoEROFSFUSE(t *testing.T) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		lives := false
		processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, p := range processes {
			raw, _ := os.ReadFile(p) // it may have ended
			lives = lives || strings.HasPrefix(string(raw), "erofsfuse\x00") && strings.Contains(string(raw), "fsname="+filepath.Dir(b.dir)+"/")
		}
		if !lives {
			return
		}
		if time.Since(begun) > time.Minute {
			t.Fatal("a process of erofsfuse lives on")
		}
	}
}

// When the command ends while the program is on its way, nothing stays: neither a
// mount, be its process alive or dead, nor the directory in the store below a writable
// one. What was mounted there before stays.
func TestMountByEROFSFUSEIsUndone(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	layertest.NeedsEROFSFUSE(t)
	program, err := exec.LookPath("erofsfuse")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, memory(t), overlaystore.Options{Lower: layer.Tars, NoSync: true})
	layers, _ := stack(1)
	image, err := b.put(layers, false)
	if err != nil {
		t.Fatal(err)
	}
	b.mountSo(t, image, overlaymount.Options{Driver: overlaymount.EROFSFUSEDriver}, false)
	defer func() {
		if err := b.unmount(); err != nil {
			t.Error(err)
		}
	}()
	fake := t.TempDir()
	t.Setenv("PATH", fake+":"+os.Getenv("PATH"))
	for name, body := range map[string]string{
		"before it mounts": "",
		"alive":            `"$real" "$@"`,
		"dead":             `for at; do :; done; "$real" "$@" -f & until test "$(grep -c " $at .*erofsfuse" /proc/self/mountinfo)" -ge "$most"; do sleep 0.01; done; kill -9 $!`,
	} {
		for _, writable := range []bool{false, true} {
			most := map[bool]string{false: "2", true: "1"}[writable] // with the one that is there
			ready := filepath.Join(t.TempDir(), "ready")
			script := "#!/bin/sh\nreal='" + program + "' most=" + most + "\n" + `test "$1" = -V && exec "$real" -V` + "\n" + body + "\n: >'" + ready + "'\nexec sleep 1000 >/dev/null 2>&1\n"
			if err := os.WriteFile(filepath.Join(fake, "erofsfuse"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			o := overlaymount.Options{Driver: overlaymount.EROFSFUSEDriver, Writable: writable}
			if err := b.mountUntil(t, image, o, ready); err == nil {
				t.Errorf("%s, writable %v: it is mounted", name, writable)
			}
			table, err := os.ReadFile("/proc/self/mountinfo")
			if n := strings.Count(string(table), " - fuse.erofsfuse "+b.store.Path()+"/"); err != nil || n != 1 {
				t.Errorf("%s, writable %v: %d mounts, %v, want the one from before", name, writable, n, err)
			}
			if left, err := filepath.Glob(b.store.Path() + "/.probe-*"); err != nil || len(left) > 0 {
				t.Errorf("%s, writable %v: left in the store: %q, %v", name, writable, left, err)
			}
		}
	}
}

// A printed line that has mounted has done its work, whether or not the directory can be
// removed below which it did so.
func TestLineOverIndexLeavesItsDirectory(t *testing.T) {
	layertest.NeedsMount(t)
	layertest.NeedsRoot(t, "it makes a store of tars")
	layertest.NeedsEROFSFUSE(t)
	b := newBench(t, memory(t), overlaystore.Options{Lower: layer.Tars, NoSync: true})
	layers, _ := stack(1)
	image, err := b.put(layers, false)
	if err != nil {
		t.Fatal(err)
	}
	base := mounted(t, "tmpfs", "")
	o := overlaymount.Options{Driver: overlaymount.EROFSFUSEDriver, Writable: true, Upper: filepath.Join(base, "upper"), Work: filepath.Join(base, "work")}
	fake := filepath.Join(base, "bin")
	if err := errors.Join(os.Mkdir(o.Upper, 0o755), os.Mkdir(o.Work, 0o755), os.Mkdir(fake, 0o755), os.WriteFile(filepath.Join(fake, "rmdir"), []byte("#!/bin/sh\nexit 1\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", fake+":"+os.Getenv("PATH"))
	b.mountSo(t, image, o, true)
	if err := b.unmount(); err != nil {
		t.Error(err)
	}
}

// mountUntil mounts an image, and ends the mounting when the file ready is there.
func (b *bench) mountUntil(t *testing.T, image overlaystore.Image, o overlaymount.Options, ready string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(ready); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	m, err := overlaymount.Assemble(ctx, b.store, image, o)
	if err != nil {
		return err
	}
	return m.Mount(ctx, b.target)
}

// What erofsfuse has not is refused in words, and another program of that name is
// not believed.
func TestEROFSFUSERefuses(t *testing.T) {
	layertest.NeedsRoot(t, "it makes a store of tars")
	fake := t.TempDir()
	script := func(body string) {
		if err := os.WriteFile(filepath.Join(fake, "erofsfuse"), []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", fake+":"+os.Getenv("PATH"))
	layers, _ := stack(1)
	tars := newBench(t, t.TempDir(), overlaystore.Options{Lower: layer.Tars, NoSync: true})
	image, err := tars.put(layers, false)
	if err != nil {
		t.Fatal(err)
	}
	directories := newBench(t, t.TempDir(), overlaystore.Options{NoSync: true})
	other, err := directories.put(layers, false)
	if err != nil {
		t.Fatal(err)
	}
	const good = "echo erofsfuse 1.8.6"
	for want, c := range map[string]struct {
		b      *bench
		image  overlaystore.Image
		script string
		o      overlaymount.Options
	}{
		"the store keeps directories":        {directories, other, good, overlaymount.Options{}},
		"has no id-mapped layers":            {tars, image, good, overlaymount.Options{IDMap: []overlaymount.IDMapping{{Outside: 1000, Size: 10}}}},
		"has no option directio":             {tars, image, good, overlaymount.Options{Options: []string{"directio"}}},
		"has no mount flag nosymfollow":      {tars, image, good, overlaymount.Options{Options: []string{"nosymfollow"}}},
		"is version 1.6, and the first that": {tars, image, "echo erofsfuse 1.6", overlaymount.Options{}},
		`tells no version: "hello\n"`:        {tars, image, "echo hello", overlaymount.Options{}},
	} {
		script(c.script)
		c.o.Driver = overlaymount.EROFSFUSEDriver
		if _, err := overlaymount.Assemble(t.Context(), c.b.store, c.image, c.o); !errors.Is(err, overlaystore.ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	// One that says that it has mounted, and has not.
	script(good)
	m, err := overlaymount.Assemble(t.Context(), tars.store, image, overlaymount.Options{Driver: overlaymount.EROFSFUSEDriver})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Mount(t.Context(), tars.target); err == nil || !strings.Contains(err.Error(), `it mounted nothing: "erofsfuse 1.8.6"`) {
		t.Errorf("mounted nothing: %v", err)
	}
	for _, printing := range []func() error{
		func() error { _, err := m.Spec(); return err },
		func() error { _, err := m.FSTab("/mnt", overlaymount.FSTabOptions{}); return err },
	} {
		if err := printing(); !errors.Is(err, overlaystore.ErrUnsupported) || !strings.Contains(err.Error(), "and not for erofsfuse") {
			t.Errorf("printed: %v", err)
		}
	}
}
