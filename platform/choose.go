// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Choice is the candidate that fits best.
type Choice struct {
	// Descriptor is the chosen one, Index its place among the candidates.
	Descriptor ocispec.Descriptor
	Index      int
	// Verdicts are what was found about each candidate, in their order.
	Verdicts []Verdict
	// Warnings are what a user should know of the choice, one line each.
	Warnings []string
}

// Choose takes the best of an index's entries; [NoMatchError] says that none
// will do. The entry of a nested index is a candidate by the platform it names;
// one that names none is refused, and a caller who wants what is in it replaces
// it by its entries first.
func Choose(w Wanted, candidates []ocispec.Descriptor) (Choice, error) {
	c := Choice{Verdicts: make([]Verdict, len(candidates))}
	var accepted []int
	for i, d := range candidates {
		c.Verdicts[i] = w.judge(d)
		if c.Verdicts[i].Accepted {
			accepted = append(accepted, i)
		}
	}
	if len(accepted) == 0 {
		accepted = soleImage(c.Verdicts)
	}
	if len(accepted) == 0 {
		return Choice{}, &NoMatchError{Wanted: w, Verdicts: c.Verdicts}
	}
	slices.SortStableFunc(accepted, func(a, b int) int { return w.compare(c.Verdicts[a].fit, c.Verdicts[b].fit) })
	for rank, i := range accepted {
		c.Verdicts[i].Rank = rank + 1
	}
	c.Index = accepted[0]
	c.Descriptor = candidates[c.Index]
	c.Warnings = w.warnings(c.Verdicts, accepted)
	return c, nil
}

// soleImage accepts an image that names no platform where there is no other:
// OCI layouts name none in index.json. Its config will tell.
func soleImage(vs []Verdict) []int {
	var images []int
	for i, v := range vs {
		if v.Reason == noPlatform {
			images = append(images, i)
		} else if v.distance != 0 || v.Descriptor.Platform != nil && noImage(v.Descriptor) == "" {
			return nil
		}
	}
	if len(images) != 1 {
		return nil
	}
	v := &vs[images[0]]
	v.Accepted, v.fit.sole = true, true
	v.Reason += ", and is the only image; its config decides"
	return images
}

// compare puts the better first.
func (w Wanted) compare(a, b fit) int {
	if c := cmp.Or(first(a.literal, b.literal), cmp.Compare(a.arch, b.arch), first(!a.bare, !b.bare)); c != 0 {
		return c
	}
	want := w.Platform
	if a.arch == 1 {
		want = *w.Other
	}
	order := baseline(want)
	return cmp.Or(
		first(order.Less(bare(a.platform), bare(b.platform)), order.Less(bare(b.platform), bare(a.platform))),
		cmp.Compare(len(b.platform.OSFeatures), len(a.platform.OSFeatures)),
		first(!a.osVersion, !b.osVersion),
		-compareVersions(a.platform.OSVersion, b.platform.OSVersion),
		first(a.explicit, b.explicit),
	)
}

// first puts what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// compareVersions compares the numbers between the dots.
func compareVersions(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(a, b string) int {
		x, errX := strconv.ParseUint(a, 10, 64)
		y, errY := strconv.ParseUint(b, 10, 64)
		if errX != nil || errY != nil {
			return cmp.Compare(a, b)
		}
		return cmp.Compare(x, y)
	})
}

func (w Wanted) warnings(vs []Verdict, accepted []int) []string {
	best := vs[accepted[0]]
	var ws []string
	warn := func(format string, a ...any) { ws = append(ws, fmt.Sprintf(format, a...)) }
	if w.Warning != "" {
		ws = append(ws, w.Warning)
	}
	switch f := best.fit; {
	case f.sole:
		warn("the image names no platform; whether it fits %s its config must tell", w)
	case f.bare:
		warn("the image names no ARM variant; by convention it is v7")
	}
	if best.fit.arch == 1 {
		warn("no image for %s; taking %s, which the kernel runs too", w.Platform.Architecture, Format(best.fit.platform))
	}
	if best.fit.osVersion && best.fit.platform.OS == "windows" {
		warn("no version of Windows was asked for; taking %s", plain(best.fit.platform.OSVersion))
	}
	for _, i := range accepted[1:] {
		if w.compare(best.fit, vs[i].fit) == 0 && vs[i].Descriptor.Digest != best.Descriptor.Digest {
			warn("more than one image for %s; taking the first", Format(best.fit.platform))
			break
		}
	}
	return ws
}
