// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Verdict is what was found about one candidate.
type Verdict struct {
	Descriptor ocispec.Descriptor
	// Accepted says that it would run.
	Accepted bool
	// Rank is its place among the accepted, from 1, which was chosen. 0 is
	// one that was refused.
	Rank int
	// Reason says why, in words for people.
	Reason string

	fit      fit
	distance int // how far a refused one missed; 0 is no miss to speak of
}

// fit orders the accepted.
type fit struct {
	platform  ocispec.Platform // normalised
	arch      int              // 0 the wanted architecture, 1 the other
	bare      bool             // arm without a variant
	explicit  bool             // its variant is written out
	osVersion bool             // it has an OS version that nobody asked for
	sole      bool             // it names no platform
	literal   bool             // its entry says literally what was asked for
}

// Distances of a miss, the nearest first.
const (
	missVariant = iota + 1
	missOSVersion
	missWidth
	missOS
)

// judge says whether the candidate would run.
func (w Wanted) judge(d ocispec.Descriptor) Verdict {
	v := Verdict{Descriptor: d}
	if reason := noImage(d); reason != "" {
		v.Reason = reason
		return v
	}
	p := normalize(*d.Platform)
	v.fit = fit{platform: p, explicit: d.Platform.Variant != ""}
	switch want := w.Platform; {
	case p.OS == "":
		v.Reason = "names no operating system"
	case p.OS != normalize(want).OS:
		v.Reason = "is for " + plain(p.OS)
		if p.Architecture == want.Architecture {
			v.distance = missOS
		}
	case p.Architecture == want.Architecture:
		w.judgeVariant(&v, want)
	case w.Other != nil && p.Architecture == w.Other.Architecture:
		v.fit.arch = 1
		w.judgeVariant(&v, *w.Other)
	case p.Architecture == sister(want.Architecture) && w.Why != "":
		v.Reason, v.distance = "is for "+plain(p.Architecture)+": "+w.Why, missWidth
	default:
		v.Reason = "is for " + plain(p.Architecture)
	}
	if v.Accepted {
		w.judgeOS(&v)
	}
	if w.literal != "" && Format(*d.Platform) == w.literal {
		v.fit.literal = true
		if !v.Accepted {
			v.Accepted, v.distance, v.Reason = true, 0, "is what was asked for, to the letter"
		}
	}
	return v
}

// judgeVariant compares with one architecture that is accepted.
func (w Wanted) judgeVariant(v *Verdict, want ocispec.Platform) {
	p := v.fit.platform
	if p.Architecture == "arm" && p.Variant == "" {
		v.fit.bare = true
		switch {
		case w.Named && want.Variant == "":
			v.Accepted, v.Reason = true, "is for arm, as asked for"
		case baseline(want).Match(armV7):
			v.Accepted, v.Reason = true, "names no variant: by convention v7, which "+w.self()+" runs"
		default:
			v.Reason = fmt.Sprintf("names no variant: by convention v7, and %s is %s; who asks for linux/arm gets it all the same", w.self(), want.Variant)
			v.distance = missVariant
		}
		return
	}
	switch same := p.Variant == normalize(want).Variant; {
	case same:
		v.Accepted, v.Reason = true, "is what "+w.self()+" is"
		if w.Named {
			v.Reason = "is what was asked for"
		}
	case baseline(want).Match(bare(p)):
		v.Accepted, v.Reason = true, fmt.Sprintf("%s code runs on %s", name(p), name(want))
	case p.Variant == "":
		v.Accepted, v.Reason = true, fmt.Sprintf("names no variant: the baseline, which runs on %s", name(want))
	case want.Variant == "" && !levelled(want.Architecture):
		v.Reason, v.distance = fmt.Sprintf("needs %s, and nobody knows whether %s is that", name(p), w.self()), missVariant
	default:
		v.Reason, v.distance = fmt.Sprintf("needs %s, and %s is %s", name(p), w.self(), name(want)), missVariant
	}
	if v.Accepted && v.fit.arch == 1 {
		v.Reason += ", and the kernel was seen to run such code"
	}
}

// judgeOS compares version and features of the operating system.
func (w Wanted) judgeOS(v *Verdict) {
	p, want := v.fit.platform, w.Platform
	switch {
	case p.OSVersion == "":
	case want.OSVersion == "":
		v.fit.osVersion = true
		v.Reason += fmt.Sprintf("; is for version %s of %s, which was not compared", plain(p.OSVersion), plain(p.OS))
	case !sameOSVersion(p.OS, p.OSVersion, want.OSVersion):
		v.Accepted, v.distance = false, missOSVersion
		v.Reason = fmt.Sprintf("is for version %s of %s, and %s is %s", plain(p.OSVersion), plain(p.OS), w.self(), plain(want.OSVersion))
		return
	}
	for _, f := range p.OSFeatures {
		// Every Windows has win32k but Nano Server, whose images ask for none.
		if !slices.Contains(want.OSFeatures, f) && !(p.OS == "windows" && f == "win32k") {
			v.Accepted, v.distance = false, missOSVersion
			v.Reason = fmt.Sprintf("needs the OS feature %s", plain(f))
			return
		}
	}
}

// sameOSVersion compares. A Windows kernel runs containers of its own build
// only, whatever the revision after it.
func sameOSVersion(os, a, b string) bool {
	if os != "windows" {
		return a == b
	}
	return build(a) == build(b)
}

func build(version string) string {
	parts := strings.SplitN(version, ".", 4)
	return strings.Join(parts[:min(3, len(parts))], ".")
}

// baseline matches what runs on p of p's own architecture, in containerd's
// order. Plain arm is v7 there.
func baseline(p ocispec.Platform) platforms.MatchComparer { return platforms.Only(bare(p)) }

// bare is p without what is compared on its own.
func bare(p ocispec.Platform) ocispec.Platform {
	return ocispec.Platform{OS: "linux", Architecture: p.Architecture, Variant: p.Variant}
}

// armV7 is what arm without a variant means by convention.
var armV7 = ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}

// levelled says whether an architecture without a variant is its lowest level.
func levelled(arch string) bool { return arch == "amd64" || arch == "arm64" }

// sister is the architecture of the other width.
func sister(arch string) string {
	return map[string]string{"amd64": "386", "386": "amd64", "arm64": "arm", "arm": "arm64"}[arch]
}

// name is architecture and variant as people say them: "ARMv6", "arm64/v8.2".
func name(p ocispec.Platform) string {
	v := plain(p.Variant)
	if p.Variant == "" {
		v = map[string]string{"arm64": "v8", "amd64": "v1"}[p.Architecture]
	}
	switch {
	case v == "":
		return plain(p.Architecture)
	case p.Architecture == "arm":
		return "ARM" + v
	}
	return plain(p.Architecture) + "/" + v
}
