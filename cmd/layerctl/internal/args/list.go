// SPDX-License-Identifier: Apache-2.0

package args

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Listed is one line of a list of images.
type Listed struct{ Ref, Platform string }

// ReadList reads "REF [PLATFORM]" lines. # begins a comment where a word
// could begin.
func ReadList(r io.Reader) (list []Listed, err error) {
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		var words []string
		for _, word := range strings.Fields(lines.Text()) {
			if strings.HasPrefix(word, "#") {
				break
			}
			words = append(words, word)
		}
		switch len(words) {
		case 0:
		case 1:
			list = append(list, Listed{Ref: words[0]})
		case 2:
			if err := CheckPlatform(words[1]); err != nil {
				return nil, inLine(number, err)
			}
			list = append(list, Listed{words[0], words[1]})
		default:
			return nil, &UsageError{Problem: fmt.Sprintf("line %d has %d words", number, len(words)), Advice: "a line is REF, or REF and a platform such as linux/arm/v7"}
		}
	}
	return list, lines.Err()
}

// inLine says where in the list it is.
func inLine(number int, err error) error {
	var usage *UsageError
	if errors.As(err, &usage) {
		return &UsageError{Problem: fmt.Sprintf("line %d: %s", number, usage.Problem), Advice: usage.Advice}
	}
	return err
}
