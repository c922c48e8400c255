// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"fmt"
	"iter"
	"path"
	"strings"

	"github.com/layerctl/layerctl/errkind"
)

var (
	// errPattern says that a pattern is empty, has a NUL, or is no glob.
	errPattern = errkind.New(errkind.Usage, "malformed pattern")
	// errNoMatch says that a wanted pattern matches no path of the image.
	errNoMatch = errkind.New(errkind.NotFound, "no such path in the image")
)

// Choice says which paths of an image are wanted. The zero value wants all.
//
// A pattern is a path from the root of the image, with or without a leading slash.
// Each component may be a glob of [path.Match]; "**" matches any number of
// components. A pattern matches a path, and with it everything below that path.
type Choice struct {
	wanted, unwanted []pattern
}

type pattern struct {
	text  string
	parts []string
}

// NewChoice returns a choice of what matches one of paths, or of everything if
// paths is empty, without what matches one of excludes. For a malformed pattern the
// error is of the kind [errkind.Usage].
func NewChoice(paths, excludes []string) (*Choice, error) {
	var c Choice
	var err error
	if c.wanted, err = patterns(paths); err != nil {
		return nil, err
	}
	c.unwanted, err = patterns(excludes)
	return &c, err
}

func patterns(texts []string) ([]pattern, error) {
	var all []pattern
	for _, text := range texts {
		if text == "" || strings.IndexByte(text, 0) >= 0 {
			return nil, fmt.Errorf("%w: %q", errPattern, text)
		}
		if _, err := path.Match(text, ""); err != nil {
			return nil, fmt.Errorf("%w: %q", errPattern, text)
		}
		all = append(all, pattern{text, components(strings.TrimPrefix(path.Clean("/"+text), "/"))})
	}
	return all, nil
}

func components(p string) []string {
	if p == "." || p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

// everything reports whether no path is left out.
func (c *Choice) everything() bool { return c == nil || len(c.wanted)+len(c.unwanted) == 0 }

// has reports whether a path of the view is wanted.
func (c *Choice) has(p string) bool {
	if c == nil {
		return true
	}
	parts := components(p)
	wanted := len(c.wanted) == 0
	for i := 0; !wanted && i < len(c.wanted); i++ {
		wanted = matches(c.wanted[i].parts, parts)
	}
	for i := 0; wanted && i < len(c.unwanted); i++ {
		wanted = !matches(c.unwanted[i].parts, parts)
	}
	return wanted
}

// matches reports whether a pattern matches the path or a directory above it.
func matches(pattern, parts []string) bool {
	for len(pattern) > 0 && pattern[0] != "**" {
		if len(parts) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], parts[0]); err != nil || !ok {
			return false
		}
		pattern, parts = pattern[1:], parts[1:]
	}
	if len(pattern) == 0 {
		return true
	}
	for i := range len(parts) + 1 {
		if matches(pattern[1:], parts[i:]) {
			return true
		}
	}
	return false
}

// literal returns the wanted paths, without a leading slash. It returns nil if one
// of them is a glob or the root, or if none is given.
func (c *Choice) literal() []string {
	if c == nil {
		return nil
	}
	var paths []string
	for _, w := range c.wanted {
		if strings.ContainsAny(w.text, `*?[\`) || len(w.parts) == 0 {
			return nil
		}
		paths = append(paths, strings.Join(w.parts, "/"))
	}
	return paths
}

// check fails with [errNoMatch] if a wanted pattern matches none of the paths.
func (c *Choice) check(paths iter.Seq[string]) error {
	if c == nil {
		return nil
	}
	missing := c.wanted
	for p := range paths {
		if len(missing) == 0 {
			return nil
		}
		parts := components(p)
		var still []pattern
		for _, w := range missing {
			if !matches(w.parts, parts) {
				still = append(still, w)
			}
		}
		missing = still
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %q", errNoMatch, missing[0].text)
	}
	return nil
}
