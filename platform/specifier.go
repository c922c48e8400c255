// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Parse reads a platform as users type it and as [Format] writes it:
// "linux/arm64", "linux/arm/v7", "arm64", "aarch64",
// "windows(10.0.17763+win32k)/amd64". One word must be an architecture that is
// known, and means linux. Synonyms are brought to one form: linux/aarch64/8 is
// linux/arm64. Plain arm stays without a variant; [Want] takes it as any ARM,
// v7 first.
func Parse(s string) (ocispec.Platform, error) {
	p, err := parse(s)
	if err != nil {
		return ocispec.Platform{}, fmt.Errorf("parse platform %q: %w", s, err)
	}
	return normalize(p), nil
}

// unknown is a platform that says nothing.
const unknown = "unknown"

// parse reads a platform as it stands.
func parse(s string) (p ocispec.Platform, err error) {
	const form = "os/arch[/variant]"
	if s == unknown {
		return p, nil
	}
	parts := split(s)
	if len(parts) == 1 {
		// A lone operating system would get the architecture that this program
		// was built for, which is not the machine's.
		if s == "" || isOS(s) {
			return p, errors.New("name an architecture: " + form)
		}
		if a := normalize(ocispec.Platform{OS: "linux", Architecture: s}).Architecture; !knownArch(a) {
			return p, errors.New("no architecture of that name: " + form)
		}
		parts = []string{"linux", s}
	}
	if len(parts) > 3 {
		return p, errors.New("want " + form)
	}
	if p.OS, p.OSVersion, p.OSFeatures, err = parseOS(parts[0]); err != nil {
		return p, err
	}
	if p.Architecture, err = part(parts[1]); err == nil && len(parts) == 3 {
		p.Variant, err = part(parts[2])
	}
	return p, err
}

// split cuts at the slashes outside of quotes and brackets.
func split(s string) (parts []string) {
	quoted, escaped, begin := false, false, 0
	for i := range len(s) {
		switch {
		case escaped:
			escaped = false
		case quoted && s[i] == '\\':
			escaped = true
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '/' && !quoted:
			parts, begin = append(parts, s[begin:i]), i+1
		}
	}
	return append(parts, s[begin:])
}

// part is one part, which is plain or quoted.
func part(s string) (string, error) {
	if strings.HasPrefix(s, `"`) {
		text, err := strconv.Unquote(s)
		if err != nil {
			return "", fmt.Errorf("%s is no string in quotes", strconv.QuoteToASCII(s))
		}
		return text, nil
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !isPlain(r, marks) }) {
		return "", fmt.Errorf("%q: want letters, digits and \".-_\"", s)
	}
	return s, nil
}

// parseOS reads OS[(VERSION+FEATURE+FEATURE)].
func parseOS(s string) (name, version string, features []string, err error) {
	options, bracketed := "", strings.HasSuffix(s, ")")
	if i := strings.LastIndexByte(s, '('); bracketed && i >= 0 {
		s, options = s[:i], s[i+1:len(s)-1]
	}
	if name, err = part(s); err != nil || !bracketed {
		return name, "", nil, err
	}
	for i, text := range strings.Split(options, "+") {
		if i > 0 && text == "" {
			return "", "", nil, errors.New("a feature of the operating system without a name")
		}
		if strings.ContainsFunc(text, func(r rune) bool { return !isPlain(r, marks+"%") }) {
			return "", "", nil, fmt.Errorf("%q: what is no letter and no digit is written as %%XX", text)
		}
		if text, err = url.PathUnescape(text); err != nil {
			return "", "", nil, err
		}
		if i == 0 {
			version = text
		} else {
			features = append(features, text)
		}
	}
	return name, version, features, nil
}

// Format writes a platform as os/arch[/variant], with the OS version and
// features where it has them: "linux/arm64/v8",
// "windows(10.0.17763+win32k)/amd64". It does not normalise: what an index says
// is shown as it says it, so that [Parse] can be given it back. A hostile index
// cannot write to a terminal: parts that hold anything but letters, digits and
// ".-_" come quoted, versions and features with the escapes of
// containerd/platforms, and what is long is cut.
func Format(p ocispec.Platform) string {
	if p.OS == "" && p.Architecture == "" {
		return unknown
	}
	parts := []string{plain(p.OS) + options(p), plain(p.Architecture)}
	if p.Variant != "" {
		parts = append(parts, plain(p.Variant))
	}
	return strings.Join(parts, "/")
}

func options(p ocispec.Platform) string {
	features := slices.DeleteFunc(slices.Sorted(slices.Values(p.OSFeatures)), func(f string) bool { return f == "" })
	if p.OSVersion == "" && len(features) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("(" + escape(p.OSVersion))
	for _, f := range slices.Compact(features) {
		b.WriteString("+" + escape(f))
	}
	b.WriteByte(')')
	return b.String()
}

// escape writes a version or a feature as containerd/platforms does, and what
// that leaves as it is, but cannot read, likewise.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(cut(s)) {
		if isPlain(rune(c), marks) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// marks are what a name may hold beside letters and digits.
const marks = "._-"

// plain is s where it is harmless to print, else quoted and cut.
func plain(s string) string { return harmless(s, marks) }

// plainType is plain for media types.
func plainType(s string) string { return harmless(s, marks+"+/") }

func harmless(s, marks string) string {
	// What ends as a cut text does comes quoted, cut or not: it reads the same again.
	if s != "" && !strings.HasSuffix(cut(s), ellipsis) && !strings.ContainsFunc(s, func(r rune) bool { return !isPlain(r, marks) }) {
		return s
	}
	return strconv.QuoteToASCII(cut(s))
}

func isPlain(r rune, marks string) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r < 128 && strings.ContainsRune(marks, r)
}

// ellipsis ends a text that was cut.
const ellipsis = "..."

// cut is as much of s as fits on a line with others. No character is cut in
// two: half of one would read as another.
func cut(s string) string {
	const enough = 64
	if len(s) > enough+len(ellipsis) {
		s = strings.ToValidUTF8(s[:enough], "") + ellipsis
	}
	return s
}

// normalize brings synonyms to one form: aarch64 to arm64, x86_64 to amd64, 7
// to v7. Beyond containerd/platforms it knows armv7 and armv8, which published
// indexes have for v7 and v8; and unlike it, it leaves arm without a variant
// as it is, because that is no statement of v7, and an empty OS empty.
func normalize(p ocispec.Platform) ocispec.Platform {
	// What follows must be a version: what is left of armarm would be read as
	// another variant the next time.
	if v, ok := strings.CutPrefix(strings.ToLower(p.Variant), "arm"); ok && (v == "" || v[0] == 'v' || v[0] >= '0' && v[0] <= '9') {
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
