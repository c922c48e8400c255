// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
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
		if got := terminal.Wrap(test.text, 5); !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func TestWrapLines(t *testing.T) {
	for text, want := range map[string][]string{
		"":                      {""},
		"1234":                  {"1234"},
		"12345 67890":           {"12345", "67890"},
		"12345678901":           {"12345", "67890", "…"},
		"1 2 3 4 5 6 7":         {"1 2 3", "4 5 6", "…"},
		"\x1b[31m":              {`\x1b[`, "31m"},
		strings.Repeat("ä", 99): {"äääää", "äääää", "…"},
	} {
		if got := terminal.WrapLines(text, 5, 2); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// Twice the text takes about twice the memory for lines, and a bounded number of
// lines the same, however long the text.
func TestWrappingIsLinear(t *testing.T) {
	long := strings.Repeat("x", 4<<20)
	least := math.Inf(1)
	for range 5 { // what else this process does allocates too
		least = min(least, testing.AllocsPerRun(1, func() { terminal.WrapLines(long, 71, 6) }))
	}
	if least > 20 {
		t.Errorf("%v allocations for six lines", least)
	}
	lines := terminal.Wrap(long, 71)
	if want := (len(long) + 70) / 71; len(lines) != want {
		t.Errorf("%d lines, want %d", len(lines), want)
	}
}

func BenchmarkWrap(b *testing.B) {
	for _, size := range []int{1 << 16, 1 << 20} {
		text := strings.Repeat("word ", size/5)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				terminal.Wrap(text, 71)
			}
		})
	}
}
