// SPDX-License-Identifier: Apache-2.0

// Package words puts lists and numbers into sentences.
package words

import (
	"fmt"
	"strings"
)

// Count is so many of a thing whose plural has an s: "1 layer", "3 layers".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// And is a list of all that there is: "a, b and c".
func And(list []string) string { return join(list, " and ") }

// Or is a list to choose from: "a, b or c".
func Or(list []string) string { return join(list, " or ") }

func join(list []string, last string) string {
	n := len(list)
	if n < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:n-1], ", ") + last + list[n-1]
}
