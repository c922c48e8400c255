// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"hash/crc32"
	"testing"
)

func TestSumOfZeros(t *testing.T) {
	sum := crc32.Checksum([]byte("head"), castagnoli)
	for _, n := range []int64{0, 1, 2, 3, 255, 4096, 1_000_003} {
		want := crc32.Update(sum, castagnoli, make([]byte, n))
		if got := sumZeros(sum, n); got != want {
			t.Errorf("%d zeros: %08x, want %08x", n, got, want)
		}
	}
	if got, want := sumZeros(sumZeros(sum, 1<<40), 1<<40), sumZeros(sum, 1<<41); got != want {
		t.Errorf("twice 2^40 zeros: %08x, want %08x", got, want)
	}
}
