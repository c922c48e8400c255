// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// sourcePrefix begins the source of every mount of an image.
const sourcePrefix = "layerctl:"

// sourceDigits is how much of the manifest's digest a mount's source shows.
const sourceDigits = 12

// Source is a source that no other mount has: with a common one, such as
// "overlay", mount(8) can blame an unrelated mount point. The digest finds the
// image again where the kernel shows no layers.
func Source(name string, manifest digest.Digest) string {
	const maxName = 100 // fsconfig(2) takes 255 bytes
	clean := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._-/:", r):
			return r
		}
		return '_'
	}
	name = strings.Map(clean, name)
	if len(name) > maxName {
		name = name[len(name)-maxName:]
	}
	id := manifest.Encoded()[:sourceDigits]
	if name == "" {
		return sourcePrefix + id
	}
	return sourcePrefix + name + "@" + id
}

// SourceDigits are the first digits of a manifest's digest in a source that
// [Source] made; false for any other source.
func SourceDigits(source string) (string, bool) {
	name, ok := strings.CutPrefix(source, sourcePrefix)
	id := name[strings.LastIndex(name, "@")+1:]
	return id, ok && len(id) == sourceDigits && strings.Trim(id, "0123456789abcdef") == ""
}
