// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/words"
)

// Short returns the first twelve digits of a digest, by which people can tell layers
// apart.
func Short(d digest.Digest) string {
	if d.Validate() != nil {
		return Escape(string(d))
	}
	return d.Encoded()[:12]
}

// Count returns a number with its noun: "1 layer", "2 layers".
func Count(n int, noun string) string {
	if noun == "index" && n != 1 {
		return fmt.Sprintf("%d indexes", n)
	}
	return words.Count(n, noun)
}

// Bytes returns a number of bytes in decimal units: "12 B", "3.4 MB".
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exponent := float64(n)/unit, 0
	for value >= unit && exponent < 4 {
		value, exponent = value/unit, exponent+1
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGTP"[exponent])
}
