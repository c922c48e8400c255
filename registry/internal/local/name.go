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
	// Tag is the image's name in the file; "" means the only image.
	Tag string
	// Digest is the digest that the image must have; "" means any.
	Digest digest.Digest
}

// file names the layout or archive in errors.
func (n Name) file() string {
	if n.Path == Stdin {
		return "standard input"
	}
	return n.Path
}

// sameName reports whether two texts are the same Docker reference.
func sameName(a, b string) bool {
	x, err := shortname.Parse(a)
	if err != nil {
		return false
	}
	y, err := shortname.Parse(b)
	return err == nil && x.String() == y.String()
}

// tagOf returns the tag of a Docker reference; "" for what is none.
func tagOf(name string) string {
	named, err := shortname.Parse(name)
	if err != nil {
		return ""
	}
	return named.Tag
}
