// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
)

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "1h30m": 90 * time.Minute, "0": 0, "0d": 0, "-1s": -time.Second,
		"7d": 168 * time.Hour, "2w": 336 * time.Hour, "1w2d": 216 * time.Hour, "1w2d3h": 219 * time.Hour, "1.5d": 36 * time.Hour,
	} {
		var f args.Span
		if err := f.Set(text); err != nil || f.Duration != want || f.String() != text {
			t.Errorf("%q: got %v, %v, want %v", text, f.Duration, err, want)
		}
	}
	for _, text := range []string{"", "d", "7", "-7d", "1d-2h", "2d1w", "7 days", "99999w", "NaNd", "1e300d"} {
		var f args.Span
		if err := f.Set(text); err == nil {
			t.Errorf("%q is taken for %v", text, f.Duration)
		}
	}
}
