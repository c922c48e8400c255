// SPDX-License-Identifier: Apache-2.0

// Package local reads images from files: from an OCI image layout, from a tar
// archive of one, and from what "docker save" writes.
package local

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/shortname"
)

// Name says which image of which file is meant.
type Name struct {
	// Path is the absolute path of the layout or the archive.
	Path string
	// Tag is the image's name in there, "" for the only one.
	Tag string
	// Digest is what the image must have; "" is any.
	Digest digest.Digest
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

// listed says what names there are, in a line's length.
func listed(names []string) string {
	const most = 10
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	switch len(names) {
	case 0:
		return "are none"
	case 1:
		return fmt.Sprintf("is %q", names[0])
	}
	return fmt.Sprintf("are %q%s", names, more)
}
