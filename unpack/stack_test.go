// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"golang.org/x/sys/unix"
)

// flat is a root filesystem as the image-spec means it: layers applied one
// by one. The value of a path is "/" for a directory, else its content.
type flat map[string]string

// apply is layer.md, "Applying Changesets", word by word: a layer's whiteouts
// hide what lower layers have, then what the layer adds is added in order.
func (f flat) apply(layer entries) {
	for _, e := range layer {
		dir, base := filepath.Split(strings.TrimSuffix(e.Name, "/"))
		name, isWhiteout := strings.CutPrefix(base, ".wh.")
		switch {
		case base == ".wh..wh..opq":
			f.remove(strings.TrimSuffix(dir, "/"), false)
		case isWhiteout:
			f.remove(dir+name, true)
		}
	}
	for _, e := range layer {
		if strings.Contains(e.Name, ".wh.") {
			if dir, base := filepath.Split(e.Name); base == ".wh..wh..opq" {
				f.mkdir(strings.TrimSuffix(dir, "/"))
			}
			continue
		}
		name := strings.TrimSuffix(e.Name, "/")
		f.mkdir(filepath.Dir(name))
		switch e.Typeflag {
		case '5':
			f.mkdir(name)
		case '1':
			content := f[e.Linkname]
			f.remove(name, true)
			f[name] = content
		case '2':
			f.remove(name, true)
			f[name] = "-> " + e.Linkname
		default:
			f.remove(name, true)
			f[name] = e.Body
		}
	}
}

func (f flat) remove(path string, itself bool) {
	for p := range f {
		if p == path && itself || strings.HasPrefix(p, path+"/") {
			delete(f, p)
		}
	}
}

func (f flat) mkdir(path string) {
	if path == "." || path == "" {
		return
	}
	f.mkdir(filepath.Dir(path))
	if f[path] != "/" {
		f[path] = "/"
	}
}

func (f flat) view() string {
	var lines []string
	for p, v := range f {
		switch {
		case v == "/":
			lines = append(lines, p+"/")
		case strings.HasPrefix(v, "-> "):
			lines = append(lines, p+" "+v)
		default:
			lines = append(lines, p+": "+v)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// randomLayer makes a layer over f. It whites out only what f has: names
// that would show where there is nothing to hide are the store's to mend.
func randomLayer(r *rand.Rand, f flat) entries {
	var layer entries
	added := make(flat)
	for range 1 + r.IntN(8) {
		name := randomPath(r)
		below := slices.Sorted(maps.Keys(f))
		switch n := r.IntN(10); {
		case n < 3 && len(below) > 0:
			victim := below[r.IntN(len(below))]
			dir, base := filepath.Split(victim)
			if f[victim] == "/" && r.IntN(3) == 0 {
				if v := added[victim]; added.blocked(victim) || v != "" && v != "/" {
					continue
				}
				added.mkdir(victim)
				layer = append(layer, File(victim+"/.wh..wh..opq", ""))
				continue
			}
			layer = append(layer, File(dir+".wh."+base, ""))
		case n < 5:
			if below := added.blocked(name); below {
				continue
			}
			layer = append(layer, Dir(name+"/", 0o755))
			added.apply(entries{Dir(name+"/", 0o755)})
		case n == 5:
			if target := added.pick(r); target != "" && target != name && !strings.HasPrefix(target, name+"/") && !added.blocked(name) {
				layer = append(layer, Hardlink(name, target))
				added.apply(layer[len(layer)-1:])
			}
		default:
			if added.blocked(name) {
				continue
			}
			e := File(name, strconv.Itoa(r.IntN(1000)))
			if n == 6 {
				e = Symlink(name, "nowhere")
			}
			layer = append(layer, e)
			added.apply(entries{e})
		}
	}
	return layer
}

func randomPath(r *rand.Rand) string {
	parts := make([]string, 1+r.IntN(3))
	for i := range parts {
		parts[i] = string(rune('a' + r.IntN(3)))
	}
	return strings.Join(parts, "/")
}

// blocked is true where a parent of name is no directory.
func (f flat) blocked(name string) bool {
	for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
		if v, ok := f[dir]; ok && v != "/" {
			return true
		}
	}
	return false
}

// pick is a random file.
func (f flat) pick(r *rand.Rand) string {
	for _, p := range slices.Sorted(maps.Keys(f)) {
		if f[p] != "/" && r.IntN(2) == 0 {
			return p
		}
	}
	return ""
}

// TestRandomStacks compares the mounted stack with the flat reference.
// UNPACK_STACKS says how many, UNPACK_SEED which is the first.
func TestRandomStacks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to mount overlay")
	}
	fallback := 15
	if full() {
		fallback = 150
	}
	stacks, seed := fromEnv("UNPACK_STACKS", fallback), fromEnv("UNPACK_SEED", 1)
	top := tempDir(t)
	for n := range stacks {
		if !oneStack(t, filepath.Join(top, strconv.Itoa(n)), uint64(seed+n), forms[n%len(forms)]) {
			t.Fatalf("seed %d", seed+n)
		}
	}
}

func fromEnv(name string, fallback int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return fallback
}

func oneStack(t *testing.T, top string, seed uint64, form form) bool {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	mkdir(t, top)
	defer os.RemoveAll(top)
	f := make(flat)
	lowers := []string{filepath.Join(top, "empty")}
	mkdir(t, lowers[0])
	var all strings.Builder
	for i := range 1 + r.IntN(5) {
		layer := randomLayer(r, f)
		for _, e := range layer {
			fmt.Fprintf(&all, "%d %c %s %s %s\n", i, max(e.Typeflag, '0'), e.Name, e.Linkname, e.Body)
		}
		f.apply(layer)
		dir := filepath.Join(top, strconv.Itoa(i))
		mkdir(t, dir)
		j := make(journal)
		o := form.o
		o.Record = j.record
		if _, err := layerInto(t, dir, Tar(layer...), "", o); err != nil {
			t.Errorf("layer %d: %v\n%s", i, err, all.String())
			return false
		}
		j.check(t, dir, form.o)
		lowers = append([]string{dir}, lowers...)
	}
	m := filepath.Join(top, "merged")
	mkdir(t, m)
	if err := unix.Mount("layerctl-test", m, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(lowers, ":")+form.opt); err != nil {
		t.Errorf("mount: %v", err)
		return false
	}
	got, want := view(t, m), f.view()
	if err := unix.Unmount(m, 0); err != nil {
		t.Error(err)
	}
	if got != want {
		t.Errorf("layers\n%s\nmerged =\n%s\nwant\n%s", all.String(), got, want)
	}
	return got == want && !t.Failed()
}
