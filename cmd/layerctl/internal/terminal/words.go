// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"

	"github.com/opencontainers/go-digest"
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
	switch {
	case n == 1:
		return "1 " + noun
	case noun == "index":
		return fmt.Sprintf("%d indexes", n)
	default:
		return fmt.Sprintf("%d %ss", n, noun)
	}
}
