// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"slices"
	"testing"
)

func TestWrap(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"12345", []string{"12345"}},
		{"12345 ", []string{"12345", ""}},
		{"123 45", []string{"123", "45"}},
		{"1 2 3 4", []string{"1 2 3", "4"}},
		{"1234567", []string{"12345", "67"}},
		{"äöüäöü", []string{"äöüäö", "ü"}},
		{"a\nb", []string{`a\nb`}},
	}
	for _, test := range tests {
		if got := Wrap(test.text, 5); !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}
