// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"fmt"
	"slices"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/words"
)

// ErrNoMatch says that an image has nothing for the wanted platform. The error
// that wraps it is a [*NoMatchError].
var ErrNoMatch = errkind.New(errkind.NotFound, "no image for this platform")

// NoMatchError says that no candidate fits, and what there is instead.
type NoMatchError struct {
	Wanted   Wanted
	Verdicts []Verdict // of each candidate, in their order
}

// Error lists the platforms there are, and the one that misses by least:
// "no image for linux/arm/v6: there are linux/amd64 and linux/arm/v7; nearest is
// linux/arm/v7: needs ARMv7, and this machine is ARMv6".
func (e *NoMatchError) Error() string {
	s := "no image for " + e.Wanted.String()
	if e.Wanted.IsZero() {
		s = "no platform was named"
	}
	there := e.Platforms()
	if len(there) == 0 && slices.ContainsFunc(e.Verdicts, func(v Verdict) bool { return v.Reason == oldManifest }) {
		return s + ": what it names " + oldManifest
	}
	if len(there) == 0 {
		return s + ": it names no platform at all"
	}
	verb := "are"
	if len(there) == 1 {
		verb = "is"
	}
	s += ": there " + verb + " " + words.And(there)
	if v := e.nearest(); v != nil {
		s += fmt.Sprintf("; nearest is %s: %s", Format(*v.Descriptor.Platform), v.Reason)
	}
	return s
}

// Unwrap makes errors.Is(err, ErrNoMatch) true.
func (e *NoMatchError) Unwrap() error { return ErrNoMatch }

// Platforms are those of the images there are, each once, in their order.
func (e *NoMatchError) Platforms() []string {
	var names []string
	for _, v := range e.Verdicts {
		if noImage(v.Descriptor) != "" {
			continue
		}
		if n := Format(*v.Descriptor.Platform); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// nearest is the verdict on the candidate that misses by least; nil where none
// comes near, as for another architecture.
func (e *NoMatchError) nearest() *Verdict {
	var near *Verdict
	for i := range e.Verdicts {
		v := &e.Verdicts[i]
		if v.distance == 0 {
			continue
		}
		if near == nil || v.distance < near.distance || v.distance == near.distance && lower(v.fit, near.fit) {
			near = v
		}
	}
	return near
}

// lower says that a asks for less than b: v7 is nearer to a v6 machine than v8.
func lower(a, b fit) bool {
	return a.platform.Architecture == b.platform.Architecture && !a.bare &&
		(b.bare || baseline(b.platform).Match(bare(a.platform)) && a.platform.Variant != b.platform.Variant)
}
