// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/words"
)

// Short is a digest's first twelve digits: enough for a person to tell layers
// apart, never used to find one.
func Short(d digest.Digest) string {
	if d.Validate() != nil {
		return Escape(string(d))
	}
	return d.Encoded()[:12]
}

// Count is a number of things, in words: "1 layer", "2 layers".
func Count(n int, noun string) string {
	if noun == "index" && n != 1 {
		return fmt.Sprintf("%d indexes", n)
	}
	return words.Count(n, noun)
}

// Bytes is n in decimal units, as disks and links are sold.
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
