// SPDX-License-Identifier: Apache-2.0

package local

import (
	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/shortname"
)

// Name says which image of which file is meant.
type Name struct {
	// Path is the absolute path of the layout or the archive, or [Stdin].
	Path string
	// Tag is the image's name in there, "" for the only one.
	Tag string
	// Digest is what the image must have; "" is any.
	Digest digest.Digest
}

// file says in errors where the image comes from.
func (n Name) file() string {
	if n.Path == Stdin {
		return "standard input"
	}
	return n.Path
}

// sameName compares two Docker references.
func sameName(a, b string) bool {
	x, err := shortname.Parse(a)
	if err != nil {
		return false
	}
	y, err := shortname.Parse(b)
	return err == nil && x.String() == y.String()
}

// tagOf is the tag alone of a Docker reference.
func tagOf(name string) string {
	named, err := shortname.Parse(name)
	if err != nil {
		return ""
	}
	return named.Tag
}
