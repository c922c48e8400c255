// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		want []string
	}{
		{"none", nil, nil},
		{"one", []string{`299 - "this image is old"`}, []string{"this image is old"}},
		{"two", []string{`299 - "a"`, `299 - "b"`}, []string{"a", "b"}},
		{"quotes", []string{`299 - "say \"hello\""`}, []string{`say "hello"`}},
		{"with a date", []string{`299 - "a" "Sat, 28 Nov 2026 18:00:00 GMT"`}, []string{"a"}},
		{"about a cache", []string{`110 - "Response is Stale"`, `299 proxy "a"`}, nil},
		{"nothing said", []string{`299 - ""`, `299 - "unclosed`, `299`, ``}, nil},
		{"an escape", []string{"299 - \"\x1b[31mred\""}, []string{`\x1b[31mred`}},
		{"a control of C1", []string{"299 - \"\u009b31mred\u202e\""}, []string{`\u009b31mred\u202e`}},
		{"too long", []string{`299 - "` + strings.Repeat("x", maxWarning) + `"`}, nil},
		{"long", []string{`299 - "` + strings.Repeat("x", 400) + `"`}, []string{strings.Repeat("x", 300) + "…"}},
		{"too many", slices.Repeat([]string{`299 - "x"`}, 100), slices.Repeat([]string{"x"}, maxWarnings)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := warnings(http.Header{"Warning": c.in}); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
