// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// shell runs a line as a user would who pastes it.
func shell(t *testing.T, line string, env ...string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v: %s", line, err, out)
	}
}

// busyboxMount makes a directory where mount is busybox's.
func busyboxMount(t *testing.T) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox")
	}
	bin := t.TempDir()
	if err := os.Symlink(busybox, filepath.Join(bin, "mount")); err != nil {
		t.Fatal(err)
	}
	return "PATH=" + bin + ":" + os.Getenv("PATH")
}

// manyLayers puts an image of n layers, each with a file of its own, one file
// that all have, and one that the next deletes.
func manyLayers(t *testing.T, s *overlaystore.Store, n int) overlaystore.Image {
	t.Helper()
	var ids []digest.Digest
	var staged []*overlaystore.Staging
	for i := range n {
		id := layerID(fmt.Sprint("many ", i))
		ids = append(ids, id)
		if has, err := s.HasLayer(id); err != nil || has {
			continue
		}
		files := []file{regular(fmt.Sprint("own-", i), "x"), regular("all", fmt.Sprint(i)), regular(fmt.Sprint("gone-", i), "x")}
		if i > 0 {
			files = append(files, whiteout(fmt.Sprint("gone-", i-1)))
		}
		staged = append(staged, stage(t, s, id, layer.Facts{}, files...))
	}
	if err := s.Commit(t.Context(), staged...); err != nil {
		t.Fatal(err)
	}
	return putImage(t, s, fmt.Sprintf("example.com/many:%d", n), ids...)
}

func checkManyLayers(t *testing.T, target string, n int) {
	t.Helper()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint("own-", i))
	}
	want = append(want, "all", fmt.Sprint("gone-", n-1))
	slices.Sort(want)
	list, err := os.ReadDir(target)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d layers show %d names, want %d", n, len(got), len(want))
	}
	body, err := os.ReadFile(filepath.Join(target, "all"))
	if err != nil || string(body) != fmt.Sprint(n-1) {
		t.Errorf("the file that all layers have: %q, error %v; want the topmost layer's", body, err)
	}
	if err := os.WriteFile(filepath.Join(target, "new"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing: %v, want EROFS", err)
	}
}

// some are the first n of the cases in short, and in full all of them.
func some[T any](n int, cases ...T) []T {
	if os.Getenv("LAYERCTL_FULL") == "1" {
		return cases
	}
	return cases[:n]
}

// The mount line, the mount by descriptor and the mount by name, for every
// number of layers that is a border somewhere.
func TestMountEveryWay(t *testing.T) {
	needsMount(t)
	s := reopen(t, filepath.Join(memoryDir(t), "store"))
	for _, n := range some(2, 2, 128, 40, 1, 499, 500) {
		img := manyLayers(t, s, n)
		m, err := Assemble(t.Context(), s, img, Options{Name: "many layers"})
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range []struct {
			name  string
			mount func(t *testing.T, target string)
		}{
			{"mount(8)", func(t *testing.T, target string) { shell(t, line(t, m, target)) }},
			{"busybox", func(t *testing.T, target string) { shell(t, line(t, m, target), busyboxMount(t)) }},
			{"by descriptor", func(t *testing.T, target string) {
				if err := mountAt(m.mountByDescriptor, target); errors.Is(err, errNotThisWay) {
					t.Skipf("needs a kernel that takes layers by descriptor, Linux 6.13: %v", err)
				} else if err != nil {
					t.Fatal(err)
				}
			}},
			{"by path", func(t *testing.T, target string) {
				if err := mountAt(m.mountByPath, target); errors.Is(err, errNotThisWay) {
					t.Skipf("needs a kernel that has lowerdir+, Linux 6.8: %v", err)
				} else if err != nil {
					t.Fatal(err)
				}
			}},
			{"by name", func(t *testing.T, target string) {
				if err := mountAt(m.mountByName, target); err != nil {
					t.Fatal(err)
				}
			}},
			{"as it likes", func(t *testing.T, target string) {
				if err := m.Mount(t.Context(), target); err != nil {
					t.Fatal(err)
				}
			}},
		} {
			t.Run(fmt.Sprintf("%d layers %s", n, way.name), func(t *testing.T) {
				target := t.TempDir()
				unmountLater(t, target)
				way.mount(t, target)
				checkManyLayers(t, target, n)
				if err := m.check(t.Context(), target); err != nil {
					t.Error(err)
				}
				found, ok, err := s.MountedAt(t.Context(), target)
				if err != nil || !ok || found.Manifest != img.Manifest {
					t.Errorf("mounted there: %+v, %v, error %v", found, ok, err)
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

func line(t *testing.T, m *Mount, target string) string {
	t.Helper()
	l, err := m.Line(target)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// In short six names are tried, which between them have what most need.
func TestMountLineInOddPlaces(t *testing.T) {
	needsMount(t)
	for _, name := range some(6,
		"with blank", "co:lon", "com,ma", `back\slash`, "new\nline", "apos'trophe", `quo"te`, "dollar$HOME", "back`tick",
		"plain", "-dash", "star*", "hash #", "per%cent", "\xff\xfe", strings.Repeat("long", 60),
	) {
		for _, busybox := range []bool{false, true} {
			t.Run(fmt.Sprintf("%q busybox %v", name, busybox), func(t *testing.T) {
				base := filepath.Join(memoryDir(t), name)
				s := reopen(t, filepath.Join(base, "store"))
				img := putImage(t, s, "odd/"+name, addLayer(t, s, "a", regular("f", "x")))
				m, err := Assemble(t.Context(), s, img, Options{})
				if err != nil {
					t.Fatal(err)
				}
				target := filepath.Join(base, "target")
				if err := os.Mkdir(target, 0o755); err != nil {
					t.Fatal(err)
				}
				unmountLater(t, target)
				var env []string
				if busybox {
					env = append(env, busyboxMount(t))
				}
				shell(t, line(t, m, target), env...)
				if _, err := os.Stat(filepath.Join(target, "f")); err != nil {
					t.Error(err)
				}
				if err := m.check(t.Context(), target); err != nil {
					t.Error(err)
				}
				if err := Unmount(t.Context(), s, target, UnmountOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// An image repeats a diffID, as two empty layers do: the kernel refuses one
// directory twice.
func TestRepeatedLayerCountsOnceOnTop(t *testing.T) {
	s := openStore(t)
	a := addLayer(t, s, "a", regular("f", "a"))
	b := addLayer(t, s, "b", regular("f", "b"))
	img := putImage(t, s, "repeated", a, b, a, a)
	m, err := Assemble(t.Context(), s, img, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Lower(), lowerDirs(s, a, b); !slices.Equal(got, want) {
		t.Errorf("lower %q, want %q", got, want)
	}
}

func TestOpaqueRootCutsTheStack(t *testing.T) {
	s := openStore(t)
	a := addLayer(t, s, "a", regular("f", "a"))
	g := stage(t, s, layerID("b"), layer.Facts{RootOpaque: true}, regular("g", "b"))
	b := g.DiffID()
	if err := s.Commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	c := addLayer(t, s, "c", regular("h", "c"))
	m, err := Assemble(t.Context(), s, putImage(t, s, "cut", a, b, c), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Lower(), lowerDirs(s, c, b); !slices.Equal(got, want) {
		t.Errorf("lower %q, want %q", got, want)
	}
}

func lowerDirs(s *overlaystore.Store, ids ...digest.Digest) []string {
	var dirs []string
	for _, id := range ids {
		dirs = append(dirs, filepath.Join(s.Path(), "layers", id.Encoded(), "fs"))
	}
	return dirs
}

func TestTooManyLayers(t *testing.T) {
	m := &Mount{store: openStore(t), source: "layerctl:x"}
	for range 500 {
		m.names = append(m.names, "abcdefg")
	}
	if o, err := m.Options(); err != nil || len(o)+len("ro,") > maxOptions {
		t.Errorf("500 names of 7 bytes take %d bytes, error %v", len(o), err)
	}
	m.names[0] = strings.Repeat("x", 100)
	if _, err := m.Options(); !errors.Is(err, overlaystore.ErrUnsupported) {
		t.Errorf("options that are too long: %v, want overlaystore.ErrUnsupported", err)
	}
}

func TestMountErrorsSayWhy(t *testing.T) {
	needsMount(t)
	s := openStore(t)
	id := addLayer(t, s, "a", regular("f", "x"))
	m, err := Assemble(t.Context(), s, putImage(t, s, "a", id), Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "")
	if err := m.Mount(t.Context(), file); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("onto a file: %v, want ENOTDIR", err)
	}
	if err := m.Mount(t.Context(), file+"-not"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("onto nothing: %v, want ErrNotExist", err)
	}
	if err := Unmount(t.Context(), s, t.TempDir(), UnmountOptions{}); !errors.Is(err, overlaystore.ErrNotFound) {
		t.Errorf("unmounting nothing: %v, want overlaystore.ErrNotFound", err)
	}
	m.paths = append(m.paths, m.paths[0])
	if err := m.Mount(t.Context(), t.TempDir()); !errors.Is(err, unix.ELOOP) {
		t.Errorf("one layer twice: %v, want ELOOP", err)
	}
	m.source = strings.Repeat("x", 300)
	if err := m.Mount(t.Context(), t.TempDir()); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "source") {
		t.Errorf("a source that is too long: %v, want EINVAL of the source", err)
	}
}

// What mount(2) makes of options that are cut off, or that another wrote.
func TestCheckFindsAnotherMount(t *testing.T) {
	needsMount(t)
	s := openStore(t)
	a := addLayer(t, s, "a", regular("f", "a"))
	b := addLayer(t, s, "b", regular("f", "b"))
	m, err := Assemble(t.Context(), s, putImage(t, s, "ab", a, b), Options{})
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	unmountLater(t, target)
	if err := m.Mount(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Mount){
		"layer 0":       func(m *Mount) { slices.Reverse(m.paths); slices.Reverse(m.names) },
		"the number of": func(m *Mount) { m.paths = m.paths[:1] },
		"the source":    func(m *Mount) { m.source = "layerctl:other" },
		"the flag":      func(m *Mount) { m.chosen.flags = []string{"noexec"} },
		"read-only":     func(m *Mount) { m.upper = "/upper" },
	} {
		other := *m
		other.paths, other.names = slices.Clone(m.paths), slices.Clone(m.names)
		change(&other)
		if err := other.check(t.Context(), target); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want a word on %s", err, what)
		}
	}
	if err := m.check(t.Context(), target); err != nil {
		t.Error(err)
	}
}

func TestErrorNumbersAreExplained(t *testing.T) {
	for errno, want := range map[error]string{unix.EPERM: "needs root", unix.ENODEV: "modprobe overlay", unix.EINVAL: "dmesg"} {
		if err := explainErrno(errno); !errors.Is(err, errno) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", errno, err, want)
		}
	}
}

// mountAt has a way of mounting mount at a path.
func mountAt(way func(point *os.File) error, target string) error {
	point, err := fsat.OpenPlace(target)
	if err != nil {
		return err
	}
	return errors.Join(way(point), point.Close())
}
