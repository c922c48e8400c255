// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/entryname"
)

func TestEntryName(t *testing.T) {
	long := strings.Repeat("n", entryname.MaxName)
	for name, c := range map[string]struct {
		path, reason string // reason: a part of it
		kind         entryname.Kind
	}{
		"a":                          {path: "a"},
		"/a//b/./c/":                 {path: "a/b/c"},
		"./":                         {path: "."},
		"/":                          {path: "."},
		"a/..":                       {path: "."},
		"a/b/../c":                   {path: "a/c"},
		"...":                        {path: "..."},
		"a/..b":                      {path: "a/..b"},
		"..":                         {reason: "leads out"},
		"a/../../b":                  {reason: "leads out"},
		"/../a":                      {reason: "leads out"},
		"":                           {reason: "an empty name"},
		"a\x00b":                     {reason: "NUL"},
		long:                         {path: long},
		long + "n":                   {reason: "a name of 256 bytes"},
		"a/" + long + "n/b":          {reason: "a name of 256 bytes"},
		strings.Repeat(long+"/", 16): {path: strings.TrimSuffix(strings.Repeat(long+"/", 16), "/")},
		strings.Repeat(long+"/", 17): {reason: "a path of 4351 bytes"},
		strings.Repeat("a/", entryname.MaxPath+1): {reason: "a path of 8192 bytes"},
		".wh.a":          {path: "a", kind: entryname.Whiteout},
		"d/.wh.a":        {path: "d/a", kind: entryname.Whiteout},
		"d/.wh..a":       {path: "d/.a", kind: entryname.Whiteout},
		"d/x.wh.a":       {path: "d/x.wh.a"},
		"d/.wh..wh..opq": {path: "d", kind: entryname.Opaque},
		".wh..wh..opq":   {path: ".", kind: entryname.Opaque},
		".wh..wh.plnk":   {path: ".wh..wh.plnk", kind: entryname.AUFS},
		".wh..wh.orph/a": {path: ".wh..wh.orph/a", kind: entryname.AUFS},
		"d/.wh.":         {reason: "no name"},
		"d/.wh..":        {reason: "no name"},
		"d/.wh...":       {reason: "no name"},
		"d/.wh.a/b":      {reason: "a directory name"},
		"d/.wh..wh..new": {reason: "an unknown mark"},
		"d/.wh.a/../b":   {path: "d/b"},
	} {
		path, kind, reason := entryname.Parse(name)
		if c.reason != "" {
			if path != "" && kind != entryname.Plain || !strings.Contains(reason, c.reason) {
				t.Errorf("%.40q: %.40q, kind %d, for %q; want %q", name, path, kind, reason, c.reason)
			}
			continue
		}
		if path != c.path || kind != c.kind || reason != "" {
			t.Errorf("%.40q: %.40q, kind %d, %q; want %.40q, kind %d", name, path, kind, reason, c.path, c.kind)
		}
		if again, _, _ := entryname.Parse(path); kind == entryname.Plain && again != path {
			t.Errorf("%.40q is %.40q when it is parsed again", path, again)
		}
	}
}

func TestSplitAndAbove(t *testing.T) {
	for path, want := range map[string][2]string{"a": {".", "a"}, "a/b": {"a", "b"}, "a/b/c": {"a/b", "c"}} {
		if dir, base := entryname.Split(path); dir != want[0] || base != want[1] || entryname.Join(dir, base) != path {
			t.Errorf("%s: %s and %s", path, dir, base)
		}
	}
	if got := slices.Collect(entryname.Above("a/b/c")); !slices.Equal(got, []string{"a/b", "a", "."}) {
		t.Errorf("above a/b/c: %q", got)
	}
	if got := slices.Collect(entryname.Above(".")); len(got) != 0 {
		t.Errorf("above the root: %q", got)
	}
}
