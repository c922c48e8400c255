// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/internal/quoting"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"golang.org/x/sys/unix"
)

// By fuse-overlayfs and by its mount line, for every number of layers that
// is a border somewhere.
func TestFUSE(t *testing.T) {
	needsMount(t)
	needsFUSE(t)
	s := reopen(t, filepath.Join(memoryDir(t), "a, store:"))
	for _, n := range some(2, 1, 40, 2, 500) {
		img := manyLayers(t, s, n)
		for _, printed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d layers printed %v", n, printed), func(t *testing.T) {
				m, err := Assemble(t.Context(), s, img, Options{Driver: FUSEDriver, Options: []string{"nosuid"}})
				if err != nil {
					t.Fatal(err)
				}
				target := t.TempDir()
				unmountLater(t, target)
				if printed {
					shell(t, line(t, m, target))
				} else if err := m.Mount(t.Context(), target); err != nil {
					t.Fatal(err)
				}
				checkManyLayers(t, target, n)
				if err := m.check(t.Context(), target); err != nil {
					t.Error(err)
				}
				list, err := s.Mounts(t.Context())
				if i := slices.IndexFunc(list, func(m overlaystore.Mounted) bool { return m.Target == target }); err != nil || i < 0 || list[i].Manifest != img.Manifest || list[i].Writable || list[i].PID != "self" {
					t.Errorf("mounts %+v, error %v", list, err)
				}
				if err := Unmount(t.Context(), s, target, UnmountOptions{}); err != nil {
					t.Error(err)
				}
				if _, ok, err := s.MountedAt(t.Context(), target); err != nil || ok {
					t.Errorf("after the unmount: mounted %v, error %v", ok, err)
				}
			})
		}
	}
}

func TestFUSEWrites(t *testing.T) {
	needsFUSE(t)
	p := newMountPair(t)
	lower := addLayer(t, p.s, "deep", dir("d", 0o755), regular("d/old", "x"), regular("f", "lower"), regular("gone", "x"))
	p.img = putImage(t, p.s, "pair", lower, addLayer(t, p.s, "over it", whiteout("gone")))
	for _, o := range []Options{{Writable: true, Target: p.target}, p.options()} {
		o.Driver = FUSEDriver
		m, err := Assemble(t.Context(), p.s, p.img, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Mount(t.Context(), p.target); err != nil {
			t.Fatal(err)
		}
		p.run(t, `cd "$T"; test ! -e gone; echo new >f; rm -r d; mkdir d; test -z "$(ls -A d)"; test "$(cat f)" = new`)
		if left, err := Leftovers(t.Context(), p.s); err != nil || len(left) > 0 {
			t.Errorf("left while it is mounted: %+v, error %v", left, err)
		}
		if _, err := Assemble(t.Context(), p.s, p.img, Options{Writable: true, Upper: m.Upper(), Work: m.Work(), Driver: FUSEDriver}); o.Upper != "" && !errors.Is(err, overlaystore.ErrBusy) {
			t.Errorf("the same upper dir again: %v, want overlaystore.ErrBusy", err)
		}
		p.unmount(t)
		if _, err := os.Stat(m.Upper()); (err == nil) != (o.Upper != "") {
			t.Errorf("after the unmount: %v", err)
		}
	}
	if err := p.mount(t, p.options()); !errors.Is(err, overlaystore.ErrUnsupported) || !strings.Contains(err.Error(), "whose marks") {
		t.Errorf("the kernel on what fuse-overlayfs wrote: %v, want overlaystore.ErrUnsupported", err)
	}
	o := p.options()
	o.Driver = FUSEDriver
	if err := p.mount(t, o); err != nil {
		t.Fatal(err)
	}
	p.run(t, `cd "$T"; test ! -e gone; test -z "$(ls -A d)"; test "$(cat f)" = new`)
	p.unmount(t)
}

func TestFUSERefuses(t *testing.T) {
	needsMount(t)
	needsFUSE(t)
	s := openStore(t)
	img := putImage(t, s, "a", addLayer(t, s, "a", regular("f", "x")))
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{IDMap: []IDMapping{{0, 1000, 10}}}, "no id-mapped layers"},
		{Options{Writable: true, Volatile: true}, "no mark by which a crash"},
		{Options{Options: []string{"metacopy=off"}}, "no option metacopy=off"},
		{Options{Options: []string{"nosymfollow"}}, "nosymfollow"},
	} {
		c.o.Driver = FUSEDriver
		if _, err := Assemble(t.Context(), s, img, c.o); !errors.Is(err, overlaystore.ErrUnsupported) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
	m, err := Assemble(t.Context(), s, img, Options{Driver: FUSEDriver})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"fstab", "systemd"} {
		if err := refusal(m, format, "/mnt"); err == nil || !strings.Contains(err.Error(), "not for fuse-overlayfs") {
			t.Errorf("%s: %v", format, err)
		}
	}
	if _, err := m.Spec(); err == nil {
		t.Error("a list of mounts for fuse-overlayfs")
	}
	// Whiteouts that it does not know would show what is deleted.
	s = inForm(s, layer.XattrMarks, layer.UserXattrs)
	defer s.Close()
	if _, err := Assemble(t.Context(), s, img, Options{Driver: FUSEDriver}); !errors.Is(err, overlaystore.ErrUnsupported) || !strings.Contains(err.Error(), `"gone" is not hidden`) {
		t.Errorf("whiteouts by attribute: %v, want overlaystore.ErrUnsupported", err)
	}
	names, err := filepath.Glob(filepath.Join(s.Path(), probe.Prefix+"*"))
	if err != nil || len(names) > 0 {
		t.Errorf("left: %q, error %v", names, err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Assemble(t.Context(), s, img, Options{Driver: FUSEDriver}); !errors.Is(err, overlaystore.ErrUnsupported) {
		t.Errorf("without the program: %v, want overlaystore.ErrUnsupported", err)
	}
}

// A mount namespace that only fuse-overlayfs is in ends, and no other.
func TestEndOrphans(t *testing.T) {
	needsMount(t)
	needsFUSE(t)
	s := openStore(t)
	m, err := Assemble(t.Context(), s, putImage(t, s, "a", addLayer(t, s, "a", regular("f", "x"))), Options{Driver: FUSEDriver})
	if err != nil {
		t.Fatal(err)
	}
	here, there := t.TempDir(), t.TempDir()
	unmountLater(t, here)
	shell(t, line(t, m, here))
	shell(t, "unshare --mount sh -c "+quoting.Shell(line(t, m, there)))
	alive := func(target string) bool {
		found := false
		err := mounts.Each(t.Context(), func(_ string, e mounts.Entry) { found = found || e.Type == mounts.FUSEType && e.Target == target })
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if !alive(here) || !alive(there) {
		t.Fatal("a daemon is not found")
	}
	if err := mounts.EndOrphans(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); alive(there); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the orphan lives")
		}
	}
	if !alive(here) {
		t.Error("a mount that is in use was ended")
	}
	if err := unix.Unmount(here, 0); err != nil {
		t.Error(err)
	}
}
