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
	"time"

	"golang.org/x/sys/unix"
)

func TestParseIDMap(t *testing.T) {
	got, err := ParseIDMap("0:100000:65536,70000:200000:1")
	if want := []IDMapping{{0, 100000, 65536}, {70000, 200000, 1}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, error %v; want %v", got, err, want)
	}
	for _, bad := range []string{"", "0", "0:1", "0:1:0", "a:b:c", "-1:0:1", "0:4294967295:1", "0:1:4294967295", "0:0:10,5:100:1", "0:0:10,20:9:1", "0:0:1:u"} {
		if got, err := ParseIDMap(bad); err == nil {
			t.Errorf("%q: %v and no error", bad, got)
		}
	}
}

// needsIDMap skips where the kernel or the filesystem cannot.
func (p *mountPair) needsIDMap(t *testing.T) {
	t.Helper()
	needsRoot(t, "it maps ids")
	m := &Mount{store: p.s, idmap: []IDMapping{{0, 100000, 65536}}}
	dir, err := m.mappedStore()
	if err != nil {
		t.Skipf("needs Linux 5.19 and a filesystem that maps ids: %v", err)
	}
	dir.Close()
}

func owner(t *testing.T, path string) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Error(err)
	}
	return st.Uid
}

func TestIDMap(t *testing.T) {
	for name, mount := range map[string]func(*Mount, *os.File) error{"by descriptor": (*Mount).mountByDescriptor, "by name": (*Mount).mountByName} {
		t.Run(name, func(t *testing.T) { testIDMap(t, mount) })
	}
}

func testIDMap(t *testing.T, mount func(*Mount, *os.File) error) {
	p := newMountPair(t)
	p.needsIDMap(t)
	if err := os.Chown(lowerDirs(p.s, p.img.Layers[0])[0]+"/f", 1000, 1000); err != nil {
		t.Fatal(err)
	}
	idmap := []IDMapping{{0, 100000, 65536}}
	m, err := Assemble(t.Context(), p.s, p.img, Options{Writable: true, IDMap: idmap})
	if err != nil {
		t.Fatal(err)
	}
	if err := mountAt(func(point *os.File) error { return mount(m, point) }, p.target); err != nil {
		t.Fatal(err)
	}
	if err := m.check(t.Context(), p.target); err != nil {
		t.Error(err)
	}
	f := filepath.Join(p.target, "f")
	if got := [2]uint32{owner(t, p.target), owner(t, f)}; got != [2]uint32{100000, 101000} {
		t.Errorf("owners of / and of user 1000's file are %v", got)
	}
	if _, err := os.Stat(filepath.Join(p.target, "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a deleted file: %v", err)
	}
	writeFile(t, f, "changed") // copied up
	if got := [2]uint32{owner(t, f), owner(t, filepath.Join(m.Upper(), "f"))}; got != [2]uint32{101000, 101000} {
		t.Errorf("owners of the copied file in the mount and the upper dir are %v", got)
	}
	if err := os.Remove(f); err != nil {
		t.Error(err)
	}
	if got := owner(t, lowerDirs(p.s, p.img.Layers[0])[0]+"/f"); got != 1000 {
		t.Errorf("in the store the file belongs to %d, want 1000", got)
	}
	p.unmount(t)
	if _, err := os.Stat(m.Upper()); m.Upper() != "" && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the upper dir stays: %v", err)
	}
}

// The mount line maps ids with a mount(8) that can, and says so with another.
func TestIDMapLine(t *testing.T) {
	p := newMountPair(t)
	p.needsIDMap(t)
	o := Options{Writable: true, IDMap: []IDMapping{{0, 100000, 65536}}}
	for name, program := range mountPrograms(t) {
		m, err := Assemble(t.Context(), p.s, p.img, o)
		if err != nil {
			t.Fatal(err)
		}
		version, _ := exec.Command("/bin/sh", "-c", program+" --version").CombinedOutput()
		bin := t.TempDir()
		script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", program)
		if name == "mount(8)" {
			script = "#!/bin/sh\nexec /bin/mount \"$@\"\n"
		}
		if err := os.WriteFile(filepath.Join(bin, "mount"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", line(t, m, p.target))
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(version), "idmapping") {
			if err == nil || !strings.Contains(string(out), "needs util-linux 2.39") {
				t.Errorf("%s: %s, error %v; want a word about the version", name, out, err)
			}
			if err := m.Discard(t.Context()); err != nil {
				t.Error(err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
			continue
		}
		if got := [2]uint32{owner(t, p.target), owner(t, p.target+"/f")}; got != [2]uint32{100000, 100000} {
			t.Errorf("%s: owners are %v", name, got)
		}
		p.unmount(t)
	}
}

// 50,000 files change hands in no time, beside what chown -R takes.
func TestIDMapIsFast(t *testing.T) {
	if os.Getenv("LAYERCTL_FULL") != "1" {
		t.Skip("makes 50,000 files and measures time: LAYERCTL_FULL=1 runs it")
	}
	p := newMountPairIn(t, memoryDir(t))
	p.needsIDMap(t)
	p.run(t, `f=$(echo "$S"/layers/*/fs/f); cd "${f%/f}"; for d in $(seq 50); do mkdir $d; (cd $d; seq 1000 | xargs touch); done`)
	mapped := time.Hour
	for range 5 { // others on the machine can only make it slower
		began := time.Now()
		if err := p.mount(t, Options{IDMap: []IDMapping{{0, 100000, 65536}}}); err != nil {
			t.Fatal(err)
		}
		mapped = min(mapped, time.Since(began))
		if got := owner(t, filepath.Join(p.target, "50", "1000")); got != 100000 {
			t.Errorf("owner is %d", got)
		}
		p.unmount(t)
	}
	if err := p.mount(t, p.options()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.run(t, `chown -R 100000:100000 "$T"`)
	changed := time.Since(began)
	t.Logf("50,000 files: mount --idmap %v, chown -R through a mount %v", mapped, changed)
	p.unmount(t)
	if mapped*20 > changed {
		t.Errorf("mounting with an id map took %v, want a twentieth of %v at most", mapped, changed)
	}
}
