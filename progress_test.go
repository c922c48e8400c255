// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// A second try tells of nothing that the first one had.
func TestCountingNeverGoesBack(t *testing.T) {
	var told []int64
	high := int64(0)
	for _, blob := range []string{"abc", "abcde"} {
		c := &counting{r: iotest.OneByteReader(strings.NewReader(blob)), high: &high, report: func(n int64) { told = append(told, n) }}
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int64{1, 2, 3, 4, 5}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
