// SPDX-License-Identifier: Apache-2.0

package stackview

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/layerctl/layerctl/layer"
)

// What journals come to is compared with the model and the kernel by
// TestRandomStacks in the root package; here are the entries of tars, and what
// no random stack has.

func TestMerge(t *testing.T) {
	dir := func(path string) layer.Entry { return layer.Entry{Path: path, Type: layer.Directory, Mode: 0o1777} }
	file := func(path string) layer.Entry { return layer.Entry{Path: path, Type: layer.Regular, Mode: 0o644} }
	gone := func(path string) layer.Entry { return layer.Entry{Path: path, Type: layer.Whiteout} }
	link := func(path, target string) layer.Entry {
		return layer.Entry{Path: path, Type: layer.Hardlink, Linkname: target}
	}
	symlink := func(path, target string) layer.Entry {
		return layer.Entry{Path: path, Type: layer.Symlink, Linkname: target}
	}
	opaque := func(path string) layer.Entry {
		return layer.Entry{Path: path, Type: layer.OpaqueMark, Opaque: layer.Marked}
	}
	type layers [][]layer.Entry
	for _, c := range []struct {
		name string
		in   layers
		want string // path, layer that has it, =first name
	}{
		{"parents are implied", layers{{file("a/b/c")}}, ".:-1 a:-1 a/b:-1 a/b/c:0"},
		{"an implied directory keeps what a lower layer says", layers{{dir("tmp")}, {file("tmp/f")}}, ".:-1 tmp:0 tmp/f:1"},
		{"a directory comes before what has a smaller byte than the slash", layers{{file("a-b"), file("a/b")}}, ".:-1 a:-1 a/b:0 a-b:0"},
		{"a whiteout of what the layer makes after it", layers{{file("d/x")}, {gone("d"), file("d/y")}}, ".:-1 d:-1 d/y:1"},
		{"a whiteout of what the layer made before it", layers{{file("d/x")}, {file("d/y"), gone("d")}}, ".:-1 d:-1 d/y:1"},
		{"a whiteout of a file that the layer makes", layers{{file("f")}, {file("f"), gone("f")}}, ".:-1 f:1"},
		{"a directory for whiteouts only", layers{{file("f")}, {gone("a/b/c")}}, ".:-1 f:0"},
		{"whiteouts below a lower symlink", layers{{file("d/x"), symlink("l", "d")}, {gone("l/x")}}, ".:-1 d:-1 d/x:0 l:0"},
		{"whiteouts below a lower file, twice", layers{{file("f")}, {gone("f/x/y")}, {gone("f/z")}}, ".:-1 f:0"},
		{"whiteouts, and then a file, below a lower symlink", layers{{symlink("l", "d")}, {gone("l/x")}, {file("l/y")}}, ".:-1 l:-1 l/y:2"},
		{"whiteouts below a symlink that is deleted", layers{{symlink("l", "d")}, {gone("l")}, {gone("l/x")}}, ".:-1"},
		{"a directory for whiteouts that a lower layer has", layers{{file("a/b/c"), dir("a")}, {gone("a/b/c")}}, ".:-1 a:0 a/b:-1"},
		{"a directory for whiteouts, and then for a file", layers{{}, {gone("a/b"), file("a/c")}}, ".:-1 a:-1 a/c:1"},
		{"a whiteout in place of a directory for whiteouts", layers{{file("a/b"), file("a/c")}, {gone("a/b"), gone("a")}}, ".:-1"},
		{"an opaque directory", layers{{dir("d"), file("d/x")}, {opaque("d"), file("d/y")}}, ".:-1 d:0 d/y:1"},
		{"an opaque root", layers{{dir("."), file("x")}, {opaque("."), file("y")}}, ".:-1 y:1"},
		{"a file in place of a directory", layers{{file("d/x")}, {file("d")}, {file("d/y")}}, ".:-1 d:-1 d/y:2"},
		{"names of one file", layers{{file("b"), link("a", "b")}}, ".:-1 a:0 b:0=a"},
		{"the first name is another file's by now", layers{{file("a"), link("b", "a"), file("a")}}, ".:-1 a:0 b:0"},
		{"a name of a lower file", layers{{file("d/f")}, {link("g", "d/f")}}, ".:-1 d:-1 d/f:0 g:0=d/f"},
		{"a name of a lower file that is gone", layers{{file("f")}, {link("g", "f")}, {gone("f")}}, ".:-1 g:0"},
		{"a name of a file through symlinks", layers{{file("usr/bin/f"), symlink("bin", "/usr/bin")}, {link("g", "bin/f")}}, ".:-1 bin:0 g:0 usr:-1 usr/bin:-1 usr/bin/f:0=g"},
		{"a name of a symlink", layers{{symlink("s", "nowhere")}, {link("t", "s")}}, ".:-1 s:0 t:0=s"},
		{"a removed directory", layers{{file("d/x"), {Path: "d", Type: layer.Removed}, file("d/y")}}, ".:-1 d:-1 d/y:0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := mergeAll(NewStack(Options{}), c.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := tell(v); got != c.want {
				t.Errorf("shows %s\nwant  %s", got, c.want)
			}
		})
	}
}

func mergeAll(s *Stack, journals [][]layer.Entry) (*View, error) {
	var layers []*Layer
	for _, journal := range journals {
		l := s.Layer()
		for _, e := range journal {
			if err := l.Record(e); err != nil {
				return nil, err
			}
		}
		if err := l.End(layer.Facts{}); err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	return s.Merge(layers...)
}

func tell(v *View) string {
	var all []string
	for f := range v.All() {
		s := fmt.Sprintf("%s:%d", f.Path, f.Layer)
		if f.Link != "" {
			s += "=" + f.Link
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

// A layer that the image repeats has its files once on disk: what a layer in
// between has linked to one is a name of the same file.
func TestRepeatedLayer(t *testing.T) {
	s := NewStack(Options{})
	a, b := s.Layer(), s.Layer()
	for _, err := range []error{
		a.Record(layer.Entry{Path: "f", Type: layer.Regular}), a.End(layer.Facts{}),
		b.Record(layer.Entry{Path: "x", Type: layer.Regular}), b.End(layer.Facts{ForeignLinks: []layer.ForeignLink{{Path: "g", Target: "f"}}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	v, err := s.Merge(a, b, a)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tell(v), ".:-1 f:2 g:2=f x:1"; got != want {
		t.Errorf("shows %s, want %s", got, want)
	}
}

func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		name string
		in   [][]layer.Entry
	}{
		{"below a file", [][]layer.Entry{{{Path: "f", Type: layer.Regular}, {Path: "f/x", Type: layer.Regular}}}},
		{"the root as a file", [][]layer.Entry{{{Path: ".", Type: layer.Regular}}}},
		{"a link to nothing", [][]layer.Entry{{}, {{Path: "l", Type: layer.Hardlink, Linkname: "f"}}}},
		{"a link to a directory", [][]layer.Entry{{{Path: "d", Type: layer.Directory}}, {{Path: "l", Type: layer.Hardlink, Linkname: "d"}}}},
		{"a link to what the layer hides", [][]layer.Entry{{{Path: "f", Type: layer.Regular}}, {
			{Path: ".", Type: layer.OpaqueMark, Opaque: layer.Marked}, {Path: "l", Type: layer.Hardlink, Linkname: "f"}}}},
		{"a link through symlinks without end", [][]layer.Entry{{{Path: "s", Type: layer.Symlink, Linkname: "s"}}, {{Path: "l", Type: layer.Hardlink, Linkname: "s/f"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := mergeAll(NewStack(Options{}), c.in); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	at := func(path string, typ layer.Type) layer.Entry { return layer.Entry{Path: path, Type: typ} }
	opaque := func(path string, why layer.Opaque) layer.Entry {
		return layer.Entry{Path: path, Type: layer.OpaqueMark, Opaque: why}
	}
	for _, c := range []struct {
		name string
		path string
		in   []layer.Entry
		want bool
	}{
		{"a file", "d/f", []layer.Entry{at("d/f", layer.Regular)}, true},
		{"nothing", "d/g", []layer.Entry{at("d/f", layer.Regular)}, false},
		{"a directory", "d", []layer.Entry{at("d", layer.Directory)}, false},
		{"a deleted name", "d/f", []layer.Entry{at("d/f", layer.Whiteout)}, true},
		{"below a deleted name", "d/f", []layer.Entry{at("d", layer.Whiteout)}, true},
		{"below a file", "d/f", []layer.Entry{at("d", layer.Symlink)}, true},
		{"in an opaque directory", "d/f", []layer.Entry{at("d", layer.Directory), opaque("d", layer.Marked)}, true},
		{"an opaque directory", "d", []layer.Entry{at("d", layer.Directory), opaque("d", layer.Marked)}, true},
		{"an opaque directory without an entry", "d", []layer.Entry{opaque("d", layer.Marked)}, false},
		{"a replaced directory without an entry", "d", []layer.Entry{at("d/f", layer.Regular), opaque("d", layer.Replaced)}, true},
		{"below an opaque root", "d", []layer.Entry{opaque(".", layer.Marked), at("d", layer.Directory)}, true},
		{"a link to a lower file", "l", []layer.Entry{{Path: "l", Type: layer.Hardlink, Linkname: "f"}}, false},
		{"a link to a lower file in an opaque directory", "d", []layer.Entry{
			at("d", layer.Directory), {Path: "d/l", Type: layer.Hardlink, Linkname: "f"}, opaque("d", layer.Marked)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewStack(Options{})
			l, top := s.Layer(), s.Layer()
			for _, e := range c.in {
				if err := l.Record(e); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(l.End(layer.Facts{}), top.End(layer.Facts{})); err != nil {
				t.Fatal(err)
			}
			if got := Settled(c.path, top, l); got != c.want {
				t.Errorf("settled: %v, want %v", got, c.want)
			}
			if _, err := s.MergeUpper(l, top); err != nil {
				t.Errorf("merge what is known: %v", err)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	v, err := mergeAll(NewStack(Options{}), [][]layer.Entry{{
		{Path: "usr/lib/x", Type: layer.Regular},
		{Path: "lib", Type: layer.Symlink, Linkname: "usr/lib"},
		{Path: "usr/lib/up", Type: layer.Symlink, Linkname: "../../lib/./x"},
		{Path: "out", Type: layer.Symlink, Linkname: "../../../usr"},
		{Path: "empty", Type: layer.Symlink},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		follow bool
		want   string
	}{
		{"/", false, "."},
		{"", false, "."},
		{"/lib/x", false, "usr/lib/x"},
		{"lib", false, "lib"},
		{"lib", true, "usr/lib"},
		{"lib/", false, "usr/lib"},
		{"out/lib/up", true, "usr/lib/x"},
		{"../../lib/../lib/x", false, "usr/lib/x"},
		{"usr/lib/x/", false, ""},
		{"usr/lib/x/..", false, ""},
		{"usr/nothing", false, ""},
		{"empty/x", false, ""},
	} {
		f, ok := v.Resolve(c.path, c.follow)
		if f.Path != c.want || ok != (c.want != "") {
			t.Errorf("%q (follow %v) is %q, want %q", c.path, c.follow, f.Path, c.want)
		}
	}
}

func TestIn(t *testing.T) {
	v, err := mergeAll(NewStack(Options{}), [][]layer.Entry{{
		{Path: "d/b/c", Type: layer.Regular}, {Path: "d/a", Type: layer.Regular}, {Path: "d-x", Type: layer.Regular},
	}})
	if err != nil {
		t.Fatal(err)
	}
	paths := func(seq func(func(File) bool)) (all []string) {
		for f := range seq {
			all = append(all, f.Path)
		}
		return all
	}
	if got, want := paths(v.In("d")), []string{"d/a", "d/b"}; !slices.Equal(got, want) {
		t.Errorf("in d there is %q, want %q", got, want)
	}
	if got, want := paths(v.Below("d")), []string{"d", "d/a", "d/b", "d/b/c"}; !slices.Equal(got, want) {
		t.Errorf("below d there is %q, want %q", got, want)
	}
	if got := paths(v.Below("nothing")); len(got) > 0 {
		t.Errorf("below nothing there is %q", got)
	}
}

// TestMemory holds what a path is charged against what it takes.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		name        string
		dirs, files int
		xattrs      bool
	}{
		{"few in a directory", 4_000, 2, false},
		{"some in a directory", 1_000, 20, false},
		{"all in one directory", 1, 20_000, false},
		{"with attributes", 1_000, 10, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			s := NewStack(Options{})
			l := s.Layer()
			for i := range c.dirs * c.files {
				e := layer.Entry{Type: layer.Regular, ModTime: time.Unix(int64(i), 0)}
				e.Path = fmt.Sprintf("usr/share/something/directory-%d/file-%d", i/c.files, i)
				if c.xattrs {
					e.Xattrs = map[string]string{fmt.Sprint("user.", i): fmt.Sprint("value ", i)}
				}
				if err := l.Record(e); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.End(layer.Facts{}); err != nil {
				t.Fatal(err)
			}
			v, err := s.Merge(l)
			if err != nil {
				t.Fatal(err)
			}
			paths := int64(c.dirs * (c.files + 1))
			taken, charged := heap()-before, s.taken.Load()
			t.Logf("%d bytes a path, charged %d", taken/paths, charged/paths)
			if taken > charged || charged > 2*taken {
				t.Errorf("%d bytes are charged for %d", charged, taken)
			}
			runtime.KeepAlive(v)
			runtime.KeepAlive(l)
		})
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemoryLimit(t *testing.T) {
	l := NewStack(Options{Memory: 1 << 20}).Layer()
	var err error
	for i := 0; err == nil && i < 10_000; i++ {
		err = l.Record(layer.Entry{Path: fmt.Sprint("file-", i), Type: layer.Regular})
	}
	var limit *limitError
	if !errors.As(err, &limit) || !errors.Is(err, ErrLimit) || limit.Max != 1<<20 {
		t.Errorf("got %v, want a limitError", err)
	}
}
