// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"errors"
	"slices"
	"testing"
)

func TestChoice(t *testing.T) {
	for _, c := range []struct {
		name            string
		paths, excludes []string
		has, hasNot     []string
	}{
		{"everything", nil, nil, []string{".", "a", "a/b"}, nil},
		{"a path and what is below", []string{"/usr/lib/"}, nil, []string{"usr/lib", "usr/lib/x", "usr/lib/x/y"}, []string{".", "usr", "usr/libx", "lib"}},
		{"the root", []string{"/"}, nil, []string{".", "a"}, nil},
		{"a path that leads up", []string{"../../usr/./lib/../bin"}, nil, []string{"usr/bin/x"}, []string{"usr/lib"}},
		{"a glob of one component", []string{"usr/*/doc"}, nil, []string{"usr/share/doc", "usr/share/doc/x"}, []string{"usr/doc", "usr/a/b/doc"}},
		{"any number of components", []string{"usr/**/*.py"}, nil, []string{"usr/a.py", "usr/a/b/c.py", "usr/a.py/x"}, []string{"a.py", "usr/a.pyc"}},
		{"a name that is a glob", []string{`a\*`}, nil, []string{"a*"}, []string{"ab"}},
		{"all but some", nil, []string{"usr/share/doc", "**/*.pyc"}, []string{".", "usr/share", "usr/share/docs"}, []string{"usr/share/doc", "usr/share/doc/x", "a.pyc", "x/y.pyc"}},
		{"some but some", []string{"usr"}, []string{"usr/share"}, []string{"usr", "usr/lib"}, []string{"usr/share/x", "etc"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			choice, err := NewChoice(c.paths, c.excludes)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range c.has {
				if !choice.has(p) {
					t.Errorf("%s is not wanted", p)
				}
			}
			for _, p := range c.hasNot {
				if choice.has(p) {
					t.Errorf("%s is wanted", p)
				}
			}
		})
	}
}

func TestChoiceRefuses(t *testing.T) {
	for _, pattern := range []string{"", "[", "a/[b", `a\`, "a\x00b"} {
		if _, err := NewChoice([]string{pattern}, nil); !errors.Is(err, errPattern) {
			t.Errorf("path %q: got %v, want errPattern", pattern, err)
		}
		if _, err := NewChoice(nil, []string{pattern}); !errors.Is(err, errPattern) {
			t.Errorf("exclude %q: got %v, want errPattern", pattern, err)
		}
	}
}

func TestLiteral(t *testing.T) {
	for _, c := range []struct{ paths, want []string }{
		{nil, nil},
		{[]string{"/etc/", "a//b"}, []string{"etc", "a/b"}},
		{[]string{"etc", "us?"}, nil},
		{[]string{"/"}, nil},
	} {
		choice, err := NewChoice(c.paths, []string{"**/x"})
		if err != nil {
			t.Fatal(err)
		}
		if got := choice.literal(); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.paths, got, c.want)
		}
	}
}
