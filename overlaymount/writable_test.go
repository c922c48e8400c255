// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/overlaystore"
	"golang.org/x/sys/unix"
)

// mountPair mounts a small image writable with directories beside the store.
type mountPair struct {
	s                   *overlaystore.Store
	img                 overlaystore.Image
	base                string
	upper, work, target string
}

func newMountPair(t *testing.T) *mountPair {
	t.Helper()
	return newMountPairIn(t, t.TempDir())
}

func newMountPairIn(t *testing.T, base string) *mountPair {
	t.Helper()
	needsMount(t)
	s := reopen(t, filepath.Join(base, "store"))
	lower := addLayer(t, s, "lower", regular("f", "lower"), regular("gone", "x"))
	p := &mountPair{
		s: s, base: base, upper: filepath.Join(base, "upper"), work: filepath.Join(base, "work"), target: filepath.Join(base, "target"),
		img: putImage(t, s, "pair", lower, addLayer(t, s, "top", whiteout("gone"))),
	}
	for _, dir := range []string{p.upper, p.work, p.target} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	unmountLater(t, p.target)
	return p
}

func (p *mountPair) options() Options {
	return Options{Writable: true, Upper: p.upper, Work: p.work, Target: p.target}
}

func (p *mountPair) mount(t *testing.T, o Options) error {
	t.Helper()
	m, err := Assemble(t.Context(), p.s, p.img, o)
	if err != nil {
		return err
	}
	return m.Mount(t.Context(), p.target)
}

func (p *mountPair) unmount(t *testing.T) {
	t.Helper()
	if err := Unmount(t.Context(), p.s, p.target, UnmountOptions{}); err != nil {
		t.Fatal(err)
	}
}

// run runs a shell command with the pair's directories as $U, $W, $S and $B.
func (p *mountPair) run(t *testing.T, script string) {
	t.Helper()
	if script == "" {
		return
	}
	cmd := exec.Command("/bin/sh", "-ec", script)
	cmd.Env = append(os.Environ(), "U="+p.upper, "W="+p.work, "S="+p.s.Path(), "B="+p.base, "T="+p.target)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

func TestWritableByName(t *testing.T) {
	p := newMountPair(t)
	m, err := Assemble(t.Context(), p.s, p.img, Options{Writable: true, Options: []string{"nosuid", "index=on", "xino=auto", "private"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := mountAt(m.mountByName, p.target); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.propagate(p.target), m.check(t.Context(), p.target)); err != nil {
		t.Error(err)
	}
	writeFile(t, filepath.Join(p.target, "new"), "x")
	if _, err := os.Stat(filepath.Join(m.Upper(), "new")); err != nil {
		t.Errorf("not in the upper dir: %v", err)
	}
	p.unmount(t)
	if _, err := os.Stat(m.Upper()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the store's upper dir stays: %v", err)
	}
}

func TestWritableByPath(t *testing.T) {
	base := filepath.Join(t.TempDir(), `a "b", c:\d`)
	if err := os.Mkdir(base, 0o755); err != nil {
		t.Fatal(err)
	}
	p := newMountPairIn(t, base)
	m, err := Assemble(t.Context(), p.s, p.img, p.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := mountAt(m.mountByPath, p.target); errors.Is(err, errNotThisWay) {
		t.Skipf("needs a kernel that has lowerdir+, Linux 6.8: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := m.check(t.Context(), p.target); err != nil {
		t.Error(err)
	}
	writeFile(t, filepath.Join(p.target, "new"), "x")
	if _, err := os.Stat(filepath.Join(p.upper, "new")); err != nil {
		t.Errorf("not in the upper dir: %v", err)
	}
	p.unmount(t)
	m.upper = "/" + strings.Repeat("long/", 60)
	if err := mountAt(m.mountByPath, p.target); !errors.Is(err, errNotThisWay) {
		t.Errorf("a path of more than 255 bytes: %v", err)
	}
}

// The kernel shows an upper dir that was given by name with backslashes before
// commas: it is in use all the same, and goes with its mount.
func TestUpperWithACommaIsKnown(t *testing.T) {
	base := filepath.Join(t.TempDir(), `com,ma\`)
	if err := os.Mkdir(base, 0o755); err != nil {
		t.Fatal(err)
	}
	p := newMountPairIn(t, base)
	for _, o := range []Options{p.options(), {Writable: true}} {
		m, err := Assemble(t.Context(), p.s, p.img, o)
		if err != nil {
			t.Fatal(err)
		}
		shell(t, line(t, m, p.target))
		if err := m.check(t.Context(), p.target); err != nil {
			t.Error(err)
		}
		there, ok, err := p.s.MountedAt(t.Context(), p.target)
		if err != nil || !ok || there.Upper != m.Upper() {
			t.Errorf("mounted: %+v, %v, error %v; want the upper dir %q", there, ok, err, m.Upper())
		}
		if _, err := Assemble(t.Context(), p.s, p.img, Options{Writable: true, Upper: m.Upper(), Work: m.Work()}); o.Upper != "" && !errors.Is(err, overlaystore.ErrBusy) {
			t.Errorf("the same upper dir again: %v, want overlaystore.ErrBusy", err)
		}
		if left, err := Leftovers(t.Context(), p.s); err != nil || len(left) > 0 {
			t.Errorf("left: %+v, error %v", left, err)
		}
		p.unmount(t)
		if _, err := os.Stat(m.Upper()); (err == nil) != (o.Upper != "") {
			t.Errorf("after the unmount: %v", err)
		}
	}
}

// What is mounted elsewhere too keeps its upper dir until the last unmount.
func TestUpperStaysWhileBoundElsewhere(t *testing.T) {
	p := newMountPair(t)
	m, err := Assemble(t.Context(), p.s, p.img, Options{Writable: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Mount(t.Context(), p.target); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	unmountLater(t, other)
	if err := unix.Mount(p.target, other, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(other, "new"), "x")
	p.unmount(t)
	if _, err := os.Stat(filepath.Join(m.Upper(), "new")); err != nil {
		t.Errorf("the upper dir of a mount that is in use: %v", err)
	}
	if err := Unmount(t.Context(), p.s, other, UnmountOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.Upper()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the last unmount the upper dir stays: %v", err)
	}
}

func TestVolatile(t *testing.T) {
	p := newMountPair(t)
	o := p.options()
	o.Volatile = true
	for range 2 { // the mark that overlayfs leaves does not stop the second
		if err := p.mount(t, o); err != nil {
			t.Fatal(err)
		}
		found, ok, err := p.s.MountedAt(t.Context(), p.target)
		if err != nil || !ok || !found.Volatile || !found.Writable {
			t.Errorf("mounted: %+v, %v, error %v", found, ok, err)
		}
		writeFile(t, filepath.Join(p.target, "f"), "upper")
		p.unmount(t)
	}
	// A crash: the mark is there and the boot is another.
	p.run(t, `sed -i 's/"boot":"[^"]*"/"boot":"before the crash"/' "$W/layerctl.json"`)
	for _, o := range []Options{o, p.options()} {
		err := p.mount(t, o)
		var crashed *volatileError
		if !errors.As(err, &crashed) || !errors.Is(err, overlaystore.ErrDamaged) || !strings.Contains(crashed.Hint(), "incompat") {
			t.Errorf("after a crash: %v, want a volatileError", err)
		}
	}
	p.run(t, `rm -r "$W/work/incompat"`)
	if err := p.mount(t, p.options()); err != nil {
		t.Errorf("after the cure that the hint names: %v", err)
	}
}

// An umount with 20 MB dirty need not write them first.
func TestVolatileUnmountDoesNotWait(t *testing.T) {
	if os.Getenv("LAYERCTL_FULL") != "1" {
		t.Skip("makes a disk and writes to it: LAYERCTL_FULL=1 runs it")
	}
	disk := disktest.New(t, 128<<20, "mkfs.ext4", "-q", "-F")
	p := newMountPairIn(t, disk.Dir)
	umountWrites := func(volatile bool) int64 {
		t.Helper()
		if err := disktest.Sync(p.upper); err != nil {
			t.Fatal(err)
		}
		o := p.options()
		o.Volatile = volatile
		if err := p.mount(t, o); err != nil {
			t.Fatal(err)
		}
		p.run(t, `dd if=/dev/zero of="$T/dirty" bs=1M count=20 status=none`)
		before := written(t, p.upper)
		p.unmount(t)
		after := written(t, p.upper)
		p.run(t, `rm "$U/dirty"`)
		return after - before
	}
	// The kernel may write at any moment by itself: one good pair is enough.
	for range 5 {
		plain, volatile := umountWrites(false), umountWrites(true)
		t.Logf("umount with 20 MB dirty writes %d bytes, volatile %d", plain, volatile)
		if plain >= 20<<20 && volatile*10 <= plain {
			return
		}
	}
	t.Error("want a volatile umount to write a tenth of what another writes at most")
}

// written is how many bytes were written to the device of the filesystem that
// has dir, as the kernel's Documentation/block/stat.rst has it.
func written(t *testing.T, dir string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		t.Fatal(err)
	}
	const sectorsWritten, sector = 6, 512
	sectors, err := strconv.ParseInt(strings.Fields(string(raw))[sectorsWritten], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return sectors * sector
}

func TestOptionsByList(t *testing.T) {
	p := newMountPair(t)
	for _, c := range []struct {
		options  []string
		writable bool
		want     string // in the error
	}{
		{[]string{"bogus"}, false, "it is none of"},
		{[]string{"metacopy=maybe"}, false, "its value is on or off"},
		{[]string{"metacopy"}, false, "its value is on or off"},
		{[]string{"metacopy=on", "metacopy=off"}, true, "the value on before"},
		{[]string{"upperdir=/x"}, true, "named apart"},
		{[]string{"volatile"}, true, "asked for apart"},
		{[]string{"userxattr"}, true, "the store's form"},
		{[]string{"nosuid,lowerdir=/x"}, true, "it is none of"},
		{[]string{"metacopy=on", "redirect_dir=off"}, true, "conflicts with redirect_dir=off"},
		{[]string{"nfs_export=on", "index=off"}, true, "conflicts with index=off"},
		{[]string{"nfs_export=on", "metacopy=on"}, true, "conflicts with metacopy=on"},
		{[]string{"index=on"}, false, "nothing in a read-only mount"},
		{[]string{"shared", "private"}, false, "one kind of propagation"},
		{[]string{"nosuid", "suid"}, false, "nosuid was given before"},
		{[]string{"dev", "nodev"}, true, "dev was given before"},
		{[]string{"directio"}, false, "the store keeps directories"},
	} {
		_, err := Assemble(t.Context(), p.s, p.img, Options{Options: c.options, Writable: c.writable})
		var option *OptionError
		if !errors.As(err, &option) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.options, err, c.want)
		}
	}
	if err := probeOption("metacopy=layerctl"); err == nil || !strings.Contains(err.Error(), "Bad value") {
		t.Errorf("probing a bad value: %v, want the kernel's word", err)
	}
	// Each option for itself, for real.
	for key, values := range overlayValues() {
		for _, value := range values {
			o := p.options()
			o.Options = []string{key + "=" + value}
			if err := p.mount(t, o); err != nil {
				t.Errorf("%s=%s: %v", key, value, err)
				continue
			}
			p.unmount(t)
			for _, dir := range []string{p.upper, p.work} { // an index belongs to one stack
				if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name := range mountFlags() {
		if err := p.mount(t, Options{Options: []string{name}}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p.unmount(t)
	}
	for name := range propagations() {
		if err := p.mount(t, Options{Options: []string{name}}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p.unmount(t)
	}
}

// A mount has nosuid and nodev unless it is told otherwise, in every form.
func TestGuards(t *testing.T) {
	p := newMountPair(t)
	for _, c := range []struct {
		options []string
		want    string
	}{
		{nil, "ro,nosuid,nodev"},
		{[]string{"suid"}, "ro,nodev"},
		{[]string{"dev"}, "ro,nosuid"},
		{[]string{"suid", "dev"}, "ro"},
		{[]string{"nodev", "noexec"}, "ro,nosuid,nodev,noexec"},
	} {
		m, err := Assemble(t.Context(), p.s, p.img, Options{Options: c.options})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(m.Flags(), ","); got != c.want {
			t.Errorf("%q: flags %s, want %s", c.options, got, c.want)
		}
		helper, err := m.FSTab("/mnt", FSTabOptions{Helper: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range c.options {
			if !strings.Contains(helper.Text, "option="+o) {
				t.Errorf("%q: the line for the helper has no option=%s: %s", c.options, o, helper.Text)
			}
		}
		for _, way := range []func(*os.File) error{m.mountByDescriptor, m.mountByName} {
			err := mountAt(way, p.target)
			if errors.Is(err, errNotThisWay) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			mounted, ok, err := p.s.MountedAt(t.Context(), p.target)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			for _, g := range guards() {
				if got, want := slices.Contains(mounted.Flags, g[0]), slices.Contains(m.Flags(), g[0]); got != want {
					t.Errorf("%q: mounted with %q", c.options, mounted.Flags)
				}
			}
			p.unmount(t)
		}
	}
}

// Labels are checked, quoted where they must be, and printed; a kernel without
// SELinux refuses them by its own words.
func TestLabels(t *testing.T) {
	for o, want := range map[string]string{
		"context=system_u:object_r:container_file_t:s0":           "context=system_u:object_r:container_file_t:s0",
		`context="system_u:object_r:container_file_t:s0:c1,c2"`:   `context="system_u:object_r:container_file_t:s0:c1,c2"`,
		"rootcontext=system_u:object_r:container_file_t:s0:c1,c2": `rootcontext="system_u:object_r:container_file_t:s0:c1,c2"`,
		"fscontext=system_u:object_r:container_file_t:s0":         "fscontext=system_u:object_r:container_file_t:s0",
		"context=":           "",
		"context=x":          "",
		"defcontext=a:b:c d": "",
		`context=a:b:c\`:     "",
		"context=a:b:c=d":    "",
	} {
		c, err := parseOptions([]string{o})
		if got := strings.Join(c.overlay, " "); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, error %v, want %q", o, got, err, want)
		}
	}
}

// A target that ends in a backslash is one line of a unit.
func TestUnitOfAnOddTarget(t *testing.T) {
	p := newMountPair(t)
	m, err := Assemble(t.Context(), p.s, p.img, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{`/mnt/x\`: `Where=/mnt/x\/`, `/mnt/\\`: `Where=/mnt/\\/`, `/mnt/a\b`: `Where=/mnt/a\b`} {
		u, err := m.Unit(target)
		if err != nil || !strings.Contains(u.Text, want+"\n") {
			t.Errorf("%s: %v, want the line %q in\n%s", target, err, want, u.Text)
		}
	}
}

// An image without layers is an empty root.
func TestNoLayers(t *testing.T) {
	needsMount(t)
	s := openStore(t)
	m, err := Assemble(t.Context(), s, putImage(t, s, "none"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	unmountLater(t, target)
	for _, mount := range []func() error{
		func() error { return m.Mount(t.Context(), target) },
		func() error { shell(t, line(t, m, target)); return m.check(t.Context(), target) },
	} {
		if err := mount(); err != nil {
			t.Fatal(err)
		}
		if names, err := os.ReadDir(target); err != nil || len(names) > 0 {
			t.Errorf("it shows %v, error %v", names, err)
		}
		if err := Unmount(t.Context(), s, target, UnmountOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPairsThatWereNotMade leaves pairs as a process leaves them that is killed
// while it makes one: the next writable mount removes them, and nothing that
// has a record, was written to or is being made.
func TestPairsThatWereNotMade(t *testing.T) {
	p := newMountPair(t)
	writable := filepath.Join(p.s.Path(), writableDir)
	for _, dir := range []string{"bare", "half/upper", "unrecorded/upper", "unrecorded/work", "recorded/upper", "recorded/work", "written/upper/d", "held/upper"} {
		if err := os.MkdirAll(filepath.Join(writable, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(writable, "recorded/work", writingFile), "{}")
	held, err := os.Open(filepath.Join(writable, "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	m, err := Assemble(t.Context(), p.s, p.img, Options{Writable: true})
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(writable)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range left {
		if e.Name() != m.pair {
			names = append(names, e.Name())
		}
	}
	if want := []string{"held", "recorded", "written"}; !slices.Equal(names, want) {
		t.Errorf("beside the new pair there are %q, want %q", names, want)
	}
}

// Pairs may go while they are swept, because another process sweeps them too.
func TestPairsThatGoMeanwhile(t *testing.T) {
	p := newMountPair(t)
	writable := filepath.Join(p.s.Path(), writableDir)
	unmade := filepath.Join(writable, "unmade")
	for _, c := range []struct {
		name   string
		failed string // step of the making that fails, or ""
		want   error
	}{
		{"one that was not made", "", nil},
		{"one's own, which is given up", "create file", unix.EIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.MkdirAll(unmade, 0o755); err != nil {
				t.Fatal(err)
			}
			ctx := durable.WithFault(t.Context(), func(op string) error {
				switch op {
				case c.failed:
					return unix.EIO
				case "rename": // to the trash
					pairs, err := filepath.Glob(writable + "/*")
					for _, pair := range pairs {
						err = errors.Join(err, os.RemoveAll(pair))
					}
					return err
				}
				return nil
			})
			m, err := Assemble(ctx, p.s, p.img, Options{Writable: true})
			if !errors.Is(err, c.want) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err == nil {
				err = m.Discard(t.Context())
			}
			if c.want == nil && err != nil {
				t.Error(err)
			}
		})
	}
}
