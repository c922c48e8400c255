// SPDX-License-Identifier: Apache-2.0

package filesum

import "testing"

func TestZeros(t *testing.T) {
	sum := Of([]byte("head"))
	for _, n := range []int64{0, 1, 2, 3, 255, 4096, 1_000_003} {
		want := Add(sum, make([]byte, n))
		if got := AddZeros(sum, n); got != want {
			t.Errorf("%d zeros: %08x, want %08x", n, got, want)
		}
	}
	if got, want := AddZeros(AddZeros(sum, 1<<40), 1<<40), AddZeros(sum, 1<<41); got != want {
		t.Errorf("twice 2^40 zeros: %08x, want %08x", got, want)
	}
}
