// SPDX-License-Identifier: Apache-2.0

package stackview

import (
	"errors"
	"fmt"
	"testing"

	"github.com/layerctl/layerctl/layer"
)

// What is found is compared with whole views by TestSearch in the root package;
// here is from how few layers it is known.
func TestSearchEndsEarly(t *testing.T) {
	entry := func(path string, typ layer.Type, link string) layer.Entry {
		return layer.Entry{Path: path, Type: typ, Linkname: link}
	}
	file, dir, gone := layer.Regular, layer.Directory, layer.Whiteout
	for _, c := range []struct {
		name   string
		top    []layer.Entry
		path   string
		follow bool
		want   string // "more", "nothing" or type and path; then the way
	}{
		{"no layer", nil, "a/b", true, "more a/b"},
		{"a file", []layer.Entry{entry("a/b", file, "")}, "/a/b", true, "f a/b"},
		{"below a file", []layer.Entry{entry("a", file, "")}, "a/b", true, "nothing a/b"},
		{"a directory", []layer.Entry{entry("a", dir, "")}, "a/", true, "d a"},
		{"in a directory", []layer.Entry{entry("a", dir, "")}, "a/b", true, "more a/b"},
		{"a deleted name", []layer.Entry{entry("a", dir, ""), entry("a/b", gone, "")}, "a/b", true, "nothing a/b"},
		{"below a deleted name", []layer.Entry{entry("a", gone, "")}, "a/b", true, "nothing a/b"},
		{"a directory for whiteouts only", []layer.Entry{entry("a/b", gone, "")}, "a", true, "more a"},
		{"in an opaque directory", []layer.Entry{entry("a", dir, ""), {Path: "a", Type: layer.OpaqueMark, Opaque: layer.Marked}}, "a/b", true, "nothing a/b"},
		{"below an opaque root", []layer.Entry{{Path: ".", Type: layer.OpaqueMark, Opaque: layer.Marked}}, "a/b", true, "nothing a/b"},
		{"through a symlink", []layer.Entry{entry("a", layer.Symlink, "x/../y")}, "a/b", true, "more y/b"},
		{"a symlink", []layer.Entry{entry("a", layer.Symlink, "/x")}, "a", true, "more x"},
		{"a symlink itself", []layer.Entry{entry("a", layer.Symlink, "/x")}, "a", false, "l a"},
		{"a link into lower layers", []layer.Entry{entry("a", layer.Hardlink, "x")}, "a", true, "more a"},
	} {
		l := NewStack(Options{}).Layer()
		for _, e := range c.top {
			if err := l.Record(e); err != nil {
				t.Fatal(err)
			}
		}
		found, err := Search(c.path, c.follow, false, l)
		if err != nil {
			t.Fatal(err)
		}
		got := "more"
		switch {
		case found.Exists:
			got = string(rune(found.Type))
		case found.Settled:
			got = "nothing"
		}
		if got = fmt.Sprint(got, " ", found.Way); got != c.want {
			t.Errorf("%s: %s is %q, want %q", c.name, c.path, got, c.want)
		}
	}
}

func TestSearchRefuses(t *testing.T) {
	l := NewStack(Options{}).Layer()
	for _, e := range []layer.Entry{
		{Path: "loop", Type: layer.Symlink, Linkname: "loop"},
		{Path: "link", Type: layer.Hardlink, Linkname: "none"},
	} {
		if err := l.Record(e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Search("loop", true, false, l); !errors.Is(err, ErrLinks) {
		t.Errorf("a loop: error = %v, want ErrLinks", err)
	}
	if _, err := Search("link", true, true, l); !errors.Is(err, ErrMalformed) {
		t.Errorf("a link to nothing: error = %v, want ErrMalformed", err)
	}
	if found, err := Search("/", true, true); err != nil || !found.Exists || found.Type != layer.Directory {
		t.Errorf("the root of no layers is %+v, %v, want a directory", found, err)
	}
}
