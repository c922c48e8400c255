// SPDX-License-Identifier: Apache-2.0

package words

import "testing"

func TestLists(t *testing.T) {
	for _, c := range []struct {
		list    []string
		and, or string
	}{
		{nil, "", ""},
		{[]string{"a"}, "a", "a"},
		{[]string{"a", "b"}, "a and b", "a or b"},
		{[]string{"a", "b", "c"}, "a, b and c", "a, b or c"},
	} {
		if got := And(c.list); got != c.and {
			t.Errorf("got %q, want %q", got, c.and)
		}
		if got := Or(c.list); got != c.or {
			t.Errorf("got %q, want %q", got, c.or)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range []string{"0 layers", "1 layer", "2 layers"} {
		if got := Count(n, "layer"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
