// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/platform"
)

// listed is one line of a list of images.
type listed struct{ ref, platform string }

func references(list []listed) []string {
	var refs []string
	for _, l := range list {
		refs = append(refs, l.ref)
	}
	return refs
}

// pullList is what is to be pulled: the arguments, and the lines of the file.
func pullList(c *cli.Context) (list []listed, err error) {
	for _, ref := range c.Args().Slice() {
		list = append(list, listed{ref: ref})
	}
	if !c.IsSet("file") {
		_, err := arguments(c, 1, -1, "one REF or more")
		return list, err
	}
	name, r := c.String("file"), c.App.Reader
	if name == "-" {
		name = "standard input"
		if c.Bool("creds-stdin") {
			return nil, &usageError{problem: "--creds-stdin and -f - both read standard input"}
		}
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		r = f
	}
	lines, err := readList(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return append(list, lines...), nil
}

// readList reads "REF [PLATFORM]" lines. # begins a comment where a word
// could begin.
func readList(r io.Reader) (list []listed, err error) {
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
			list = append(list, listed{ref: words[0]})
		case 2:
			if _, err := platform.Parse(words[1]); err != nil {
				return nil, &usageError{problem: fmt.Sprintf("line %d: %v", number, err), hint: "a line is REF, or REF and a platform such as linux/arm/v7"}
			}
			list = append(list, listed{words[0], words[1]})
		default:
			return nil, &usageError{problem: fmt.Sprintf("line %d has %d words", number, len(words)), hint: "a line is REF, or REF and a platform such as linux/arm/v7"}
		}
	}
	return list, lines.Err()
}
