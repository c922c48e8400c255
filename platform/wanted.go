// SPDX-License-Identifier: Apache-2.0

package platform

import ocispec "github.com/opencontainers/image-spec/specs-go/v1"

// Wanted is what an image is chosen for: a machine, by [Host.Wanted], or a
// platform that somebody named, by [Want].
type Wanted struct {
	// Platform is the best fit; what it can run besides is accepted too: of
	// its own architecture every lower variant.
	Platform ocispec.Platform
	// Other is a second architecture that is accepted after every image of
	// the first. Nil means none.
	Other *ocispec.Platform
	// Why says why the sister architecture of the other width is not
	// accepted; it becomes a verdict's reason. Empty means that nobody asked.
	Why string
	// Named is true where somebody named the platform: then arm without a
	// variant means any ARM, v7 first.
	Named bool
	// Warning goes with each choice. Empty means none.
	Warning string

	literal string // what somebody typed, in the words of Format
}

// Wanted is what fits the machine.
func (h Host) Wanted() Wanted {
	return Wanted{Platform: h.Platform, Other: h.Other, Why: h.Why, Warning: h.Warning}
}

// Want is what fits the platform that somebody named, and nothing else: no
// image of another architecture is accepted for it.
func Want(p ocispec.Platform) Wanted {
	return Wanted{Platform: normalize(p), Named: true}
}

// ParseWanted is [Want] of the platform that s names. Of the images that fit,
// the one whose entry says literally s comes first: linux/arm before
// linux/arm/v6, where both are there.
func ParseWanted(s string) (Wanted, error) {
	p, err := Parse(s)
	if err != nil {
		return Wanted{}, err
	}
	w := Want(p)
	w.literal = s
	if len(split(s)) == 1 && s != unknown {
		w.literal = "linux/" + s
	}
	return w, nil
}

// String names the platform: "linux/arm/v7".
func (w Wanted) String() string { return Format(w.Platform) }

// IsZero says that nothing is wanted: whatever there is will do.
func (w Wanted) IsZero() bool {
	return w.Platform.OS == "" && w.Platform.Architecture == "" && !w.Named && w.Other == nil
}

// self is how a reason names it.
func (w Wanted) self() string {
	if w.Named {
		return "what was asked for"
	}
	return "this machine"
}
