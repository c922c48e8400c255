// SPDX-License-Identifier: Apache-2.0

package args

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/registry"
)

// Listed is one line of a list of images.
type Listed struct{ Ref, Platform string }

// ReadList reads "REF [PLATFORM]" lines. # begins a comment where a word
// could begin.
func ReadList(r io.Reader) (list []Listed, err error) {
	err = EachLine(r, func(number int, words []string) error {
		one := Listed{Ref: words[0]}
		switch len(words) {
		case 1:
		case 2:
			one.Platform = words[1]
		default:
			return &UsageError{Problem: fmt.Sprintf("line %d has %d words", number, len(words)), Advice: "a line is REF, or REF and a platform such as linux/arm/v7"}
		}
		if err := one.check(); err != nil {
			return inLine(number, err)
		}
		list = append(list, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// EachLine calls do with the number of each line, from 1, that has words, and
// these, until an error. # begins a comment where a word could begin.
func EachLine(r io.Reader, do func(number int, words []string) error) error {
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		words := strings.Fields(lines.Text())
		if at := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, "#") }); at >= 0 {
			words = words[:at]
		}
		if len(words) == 0 {
			continue
		}
		if err := do(number, words); err != nil {
			return err
		}
	}
	return lines.Err()
}

// check fails for a line that no image can have. All lines are checked before the first
// image is pulled.
func (l Listed) check() error {
	if _, err := registry.Parse(l.Ref); err != nil {
		return err
	}
	if l.Platform == "" {
		return nil
	}
	return CheckPlatform(l.Platform)
}

// inLine adds to an error the number of its line.
func inLine(number int, err error) error {
	var usage *UsageError
	if errors.As(err, &usage) {
		return &UsageError{Problem: fmt.Sprintf("line %d: %s", number, usage.Problem), Advice: usage.Advice}
	}
	return fmt.Errorf("line %d: %w", number, err)
}
