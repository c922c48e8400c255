// SPDX-License-Identifier: Apache-2.0

// Package shortname reads the names of images in registries as people write
// them: "alpine" means "docker.io/library/alpine:latest".
package shortname

import (
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Name is the name of an image in a registry, in full.
type Name struct {
	Host       string
	Repository string // below the host
	Tag        string // "" where there is a digest alone
	Digest     digest.Digest
}

// Parse reads a name. Without a tag or a digest it means the tag latest.
func Parse(name string) (Name, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return Name{}, err
	}
	named = reference.TagNameOnly(named)
	n := Name{Host: reference.Domain(named), Repository: reference.Path(named)}
	if d, ok := named.(reference.Digested); ok {
		n.Digest = d.Digest()
	}
	if t, ok := named.(reference.Tagged); ok {
		n.Tag = t.Tag()
	}
	return n, nil
}

// String is the name in full, which [Parse] reads again.
func (n Name) String() string {
	s := n.Host + "/" + n.Repository
	if n.Tag != "" {
		s += ":" + n.Tag
	}
	if n.Digest != "" {
		s += "@" + n.Digest.String()
	}
	return s
}
