// SPDX-License-Identifier: Apache-2.0

// Package shortname reads the names of images in registries as people write
// them: "alpine" means "docker.io/library/alpine:latest".
package shortname

import (
	"regexp"
	"strings"

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
func Parse(name string) (Name, error) { return parse(name, reference.TagNameOnly) }

// ParseBare reads a name as it stands: without a tag and a digest it has none.
func ParseBare(name string) (Name, error) {
	return parse(name, func(n reference.Named) reference.Named { return n })
}

func parse(name string, complete func(reference.Named) reference.Named) (Name, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return Name{}, err
	}
	named = complete(named)
	n := Name{Host: reference.Domain(named), Repository: reference.Path(named)}
	if d, ok := named.(reference.Digested); ok {
		n.Digest = d.Digest()
	}
	if t, ok := named.(reference.Tagged); ok {
		n.Tag = t.Tag()
	}
	return n, nil
}

// Bare is the host and the repository alone.
func (n Name) Bare() string { return n.Host + "/" + n.Repository }

// IsBare says that it has neither a tag nor a digest.
func (n Name) IsBare() bool { return n.Tag == "" && n.Digest == "" }

// IsPrefix says whether repositories can be below it, in full: "example.com:5000",
// "docker.io/library".
func IsPrefix(text string) bool {
	host, _, below := strings.Cut(text, "/")
	return whole(reference.DomainRegexp, text) || below && whole(reference.DomainRegexp, host) && whole(reference.NameRegexp, text)
}

// whole says that a pattern matches all of a text.
func whole(pattern *regexp.Regexp, text string) bool {
	return regexp.MustCompile("^(?:" + pattern.String() + ")$").MatchString(text)
}

// String is the name in full, which [Parse] reads again.
func (n Name) String() string {
	s := n.Bare()
	if n.Tag != "" {
		s += ":" + n.Tag
	}
	if n.Digest != "" {
		s += "@" + n.Digest.String()
	}
	return s
}
