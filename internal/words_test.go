// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"testing"

	"github.com/layerctl/layerctl/internal/words"
)

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
		if got := words.And(c.list); got != c.and {
			t.Errorf("got %q, want %q", got, c.and)
		}
		if got := words.Or(c.list); got != c.or {
			t.Errorf("got %q, want %q", got, c.or)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range []string{"0 layers", "1 layer", "2 layers"} {
		if got := words.Count(n, "layer"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
