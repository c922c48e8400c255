// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Conflict is one field in which an image's config contradicts the entry of
// the index that names it.
type Conflict struct {
	Field         string // "os", "architecture", "variant", "os.version"
	Entry, Config string // both values, as they stand there
}

// String is one line for people, whatever the values hold.
func (c Conflict) String() string {
	return fmt.Sprintf("%s: the index says %q, the image's config %q", c.Field, c.Entry, c.Config)
}

// Compare holds the platform of an image's config against the index entry that
// names it, nil being one without a platform. Synonyms are no conflict: arm64
// and arm64/v8, aarch64 and arm64. Neither is a value that one of them leaves
// out, which is common for variants, save that a config must name OS and
// architecture: https://github.com/opencontainers/image-spec/blob/main/config.md.
func Compare(entry *ocispec.Platform, config ocispec.Platform) []Conflict {
	if entry == nil {
		entry = &ocispec.Platform{}
	}
	var cs []Conflict
	differ := func(field, e, c, normE, normC string, must bool) {
		if e != "" && normE != normC && (c != "" || must) || c == "" && must {
			cs = append(cs, Conflict{field, e, c})
		}
	}
	e, c := normalize(*entry), normalize(config)
	differ("os", entry.OS, config.OS, e.OS, c.OS, true)
	differ("architecture", entry.Architecture, config.Architecture, e.Architecture, c.Architecture, true)
	if e.Architecture == c.Architecture {
		differ("variant", entry.Variant, config.Variant, e.Variant, c.Variant, false)
	}
	differ("os.version", entry.OSVersion, config.OSVersion, build(e.OSVersion), build(c.OSVersion), false)
	return cs
}
