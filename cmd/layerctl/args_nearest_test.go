// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
)

func TestNearest(t *testing.T) {
	words := []string{"platform", "plain-http", "progress", "pull", "prune"}
	for word, want := range map[string]string{
		"platfrom": "platform", "platfor": "platform", "plattform": "platform", "platform": "platform",
		"pul": "pull", "plul": "pull", "prun": "prune", "plainhttp": "plain-http",
		"nonsense": "", "": "", "x": "", "form": "",
	} {
		if got := args.Nearest(word, words); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
