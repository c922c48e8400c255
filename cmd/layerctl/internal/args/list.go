// SPDX-License-Identifier: Apache-2.0

package args

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/layerctl/layerctl/registry"
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
		case 1, 2:
			one := Listed{Ref: words[0]}
			if len(words) == 2 {
				one.Platform = words[1]
			}
			if err := one.check(); err != nil {
				return nil, inLine(number, err)
			}
			list = append(list, one)
		default:
			return nil, &UsageError{Problem: fmt.Sprintf("line %d has %d words", number, len(words)), Advice: "a line is REF, or REF and a platform such as linux/arm/v7"}
		}
	}
	return list, lines.Err()
}

// check refuses what no image can be: the first of a list would be pulled before
// anybody knew of the last.
func (l Listed) check() error {
	if _, err := registry.Parse(l.Ref); err != nil {
		return err
	}
	if l.Platform == "" {
		return nil
	}
	return CheckPlatform(l.Platform)
}

// inLine says where in the list it is.
func inLine(number int, err error) error {
	var usage *UsageError
	if errors.As(err, &usage) {
		return &UsageError{Problem: fmt.Sprintf("line %d: %s", number, usage.Problem), Advice: usage.Advice}
	}
	return fmt.Errorf("line %d: %w", number, err)
}
