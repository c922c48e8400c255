// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"strings"

	"github.com/layerctl/layerctl/internal/shortname"
	"github.com/layerctl/layerctl/trust/internal/jsontree"
)

// Identity is a condition on the name of the image in a signature.
type Identity struct {
	kind string
	// name is for exactReference and exactRepository; prefix and signed are for
	// remapIdentity.
	name           shortname.Name
	prefix, signed string
}

// The kinds.
const (
	anyName         = "" // no condition, for a list of keys
	matchExact      = "matchExact"
	matchRepoDigest = "matchRepoDigestOrExact"
	matchRepository = "matchRepository"
	exactReference  = "exactReference"
	exactRepository = "exactRepository"
	remapIdentity   = "remapIdentity"
)

// String returns the kind, as policies write it.
func (i *Identity) String() string { return i.kind }

// Any reports whether any name, or no name, is accepted.
func (i *Identity) Any() bool { return i.kind == anyName }

// parseIdentity reads a signedIdentity. Without one it is matchRepoDigestOrExact.
func parseIdentity(v *jsontree.Value) Identity {
	if v == nil {
		return Identity{kind: matchRepoDigest}
	}
	i := Identity{kind: v.TextAt("type")}
	switch i.kind {
	case matchExact, matchRepoDigest, matchRepository:
		v.Exactly("type")
	case exactReference:
		i.parseName(v, "dockerReference")
	case exactRepository:
		i.parseName(v, "dockerRepository")
	case remapIdentity:
		v.Exactly("type", "prefix", "signedPrefix")
		i.prefix, i.signed = v.TextAt("prefix"), v.TextAt("signedPrefix")
		for _, prefix := range []string{i.prefix, i.signed} {
			if !shortname.IsPrefix(prefix) {
				v.Fail("the prefix %.200q is no host and no repository in full", prefix)
			}
		}
	default:
		v.Fail("the identity %.100q is not known", i.kind)
	}
	return i
}

func (i *Identity) parseName(v *jsontree.Value, member string) {
	v.Exactly("type", member)
	text := v.TextAt(member)
	name, err := shortname.ParseBare(text)
	if err == nil && i.kind == exactReference && name.IsBare() {
		err = errors.New("it has neither a tag nor a digest")
	}
	if err != nil {
		v.Fail("%s %.200q: %v", member, text, err)
	}
	i.name = name
}

// Accepts reports whether a signature with the name claimed counts for an image. image is
// nil for one that is in no registry and so has no such name.
func (i *Identity) Accepts(image *shortname.Name, claimed string) bool {
	if i.kind == anyName {
		return true
	}
	signed, err := shortname.ParseBare(claimed)
	if err != nil {
		return false
	}
	switch i.kind {
	case exactReference:
		return exact(&i.name, &signed)
	case exactRepository:
		image = &i.name
	}
	if image == nil {
		return false
	}
	switch i.kind {
	case matchExact:
		return exact(image, &signed)
	case matchRepository, exactRepository:
		return image.Bare() == signed.Bare()
	case remapIdentity:
		mapped, ok := i.remap(image)
		return ok && repoDigestOrExact(mapped, &signed)
	}
	return i.kind == matchRepoDigest && repoDigestOrExact(image, &signed)
}

// exact compares two names that have a tag or a digest.
func exact(image, signed *shortname.Name) bool {
	return !image.IsBare() && *image == *signed
}

// repoDigestOrExact compares the whole names if the image's has a tag. If it has only a
// digest, which the image has by now been compared with, it compares the repositories.
func repoDigestOrExact(image, signed *shortname.Name) bool {
	if image.Tag != "" {
		return *image == *signed
	}
	return image.Digest != "" && !signed.IsBare() && image.Bare() == signed.Bare()
}

// remap replaces the prefix of the image's name, if it has that. It is not ok if the
// result is no complete name.
func (i *Identity) remap(image *shortname.Name) (_ *shortname.Name, ok bool) {
	rest, found := strings.CutPrefix(image.Bare(), i.prefix)
	if !found || rest != "" && rest[0] != '/' {
		return image, true
	}
	bare := i.signed + rest
	mapped, err := shortname.ParseBare(bare)
	mapped.Tag, mapped.Digest = image.Tag, image.Digest
	return &mapped, err == nil && mapped.Bare() == bare
}
