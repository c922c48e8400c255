// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Parse reads a platform as users type it: "linux/arm64", "linux/arm/v7",
// "arm64", "aarch64", "windows(10.0.17763)/amd64". One word must be an
// architecture that is known, and means linux. Synonyms are brought to one
// form: linux/aarch64/8 is linux/arm64. Plain arm stays without a variant;
// [Want] takes it as any ARM, v7 first.
func Parse(s string) (ocispec.Platform, error) {
	// A lone operating system would get the architecture that this program
	// was built for, which is not the machine's.
	if s == "" || !strings.Contains(s, "/") && isOS(s) {
		return ocispec.Platform{}, fmt.Errorf("parse platform %q: name an architecture: os/arch[/variant]", s)
	}
	if !strings.Contains(s, "/") {
		s = "linux/" + s
		if a := normalize(ocispec.Platform{OS: "linux", Architecture: s[len("linux/"):]}).Architecture; !knownArch(a) {
			return ocispec.Platform{}, fmt.Errorf("parse platform %q: no architecture of that name: os/arch[/variant]", a)
		}
	}
	p, err := platforms.Parse(s)
	if err != nil {
		return ocispec.Platform{}, fmt.Errorf("parse platform: %w", err)
	}
	return normalize(p), nil
}

// Format writes a platform as os/arch[/variant], with the OS version and
// features where it has them: "linux/arm64/v8", "windows(10.0.17763)/amd64".
// It does not normalise: what an index says is shown as it says it. Parts that
// hold anything but letters, digits and ".-_" come quoted, so that a hostile
// index cannot write to a terminal.
func Format(p ocispec.Platform) string {
	if p.OS == "" && p.Architecture == "" {
		return "unknown"
	}
	parts := []string{plain(p.OS) + options(p), plain(p.Architecture)}
	if p.Variant != "" {
		parts = append(parts, plain(p.Variant))
	}
	return strings.Join(parts, "/")
}

func options(p ocispec.Platform) string {
	if p.OSVersion == "" && len(p.OSFeatures) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteByte('(')
	if p.OSVersion != "" {
		b.WriteString(plain(p.OSVersion))
	}
	for _, f := range p.OSFeatures {
		b.WriteByte('+')
		b.WriteString(plain(f))
	}
	b.WriteByte(')')
	return b.String()
}

// plain is s where it is harmless to print, else quoted and cut.
func plain(s string) string { return harmless(s, "._-") }

// plainType is plain for media types.
func plainType(s string) string { return harmless(s, "._-+/") }

func harmless(s, marks string) string {
	other := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(marks, r))
	}
	if s != "" && !strings.ContainsFunc(s, other) {
		return s
	}
	const enough = 64
	if len(s) > enough {
		s = s[:enough] + "..."
	}
	return strconv.QuoteToASCII(s)
}

// normalize brings synonyms to one form: aarch64 to arm64, x86_64 to amd64, 7
// to v7. Beyond containerd/platforms it knows armv7 and armv8, which published
// indexes have for v7 and v8; and unlike it, it leaves arm without a variant
// as it is, because that is no statement of v7, and an empty OS empty.
func normalize(p ocispec.Platform) ocispec.Platform {
	if v, ok := strings.CutPrefix(strings.ToLower(p.Variant), "arm"); ok {
		p.Variant = v
	}
	n := platforms.Normalize(p)
	if p.OS == "" {
		n.OS = ""
	}
	if n.Architecture == "arm" && p.Variant == "" && strings.EqualFold(p.Architecture, "arm") {
		n.Variant = ""
	}
	return n
}

func isOS(s string) bool {
	switch s, _, _ := strings.Cut(strings.ToLower(s), "("); s {
	case "aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "linux", "macos", "netbsd", "openbsd", "plan9", "solaris", "windows":
		return true
	}
	return false
}

func knownArch(s string) bool {
	switch s {
	case "386", "amd64", "arm", "arm64", "armbe", "arm64be", "loong64", "mips", "mipsle", "mips64", "mips64le",
		"ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm":
		return true
	}
	return false
}
