// SPDX-License-Identifier: Apache-2.0

package shortname

import (
	"regexp"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// seeds are names on both sides of each rule of the grammar.
var seeds = []string{
	"", "a", "A", "alpine", "alpine:3.20", "alpine:", "alpine:.x", "alpine:-x", "alpine:_x", "alpine:" + strings.Repeat("t", 128), "alpine:" + strings.Repeat("t", 129), "alpine:é",
	"a/b", "a/b/c:1", "a//b", "/a", "a/", "library/a", "docker.io/a", "docker.io/library/a", "docker.io/u/a", "index.docker.io/a", "index.docker.io/u/a", "docker.io/",
	"localhost/a", "localhost:5000/a", "Localhost/a", "LOCAL/a", "local/A", "host:/a", "host:x/a", "host:5000/a:x", "host:5000", "host:5000/a:x:y", "host.example/a/b", "host-.example/a", "-host.example/a", "host..example/a", "host.example./a", "a_b.c/d", "a_b:5/d", "A_b.c/d",
	"[::1]/a", "[::1]:5000/a", "[::1]:/a", "[]/a", "[::g]/a", "[::1/a", "[fe80::1%eth0]/a", "[::1]x/a",
	"a.b", "a..b", "a._b", "a__b", "a___b", "a--b", "a---b", "a-_b", "-a", "a-", "a.", "_a", "a\n", "\na", "a b", "é", "a/é", "a:b/c", "a@b/c", "a.b@c/d",
	"a@sha256:" + digits, "a:x@sha256:" + digits, "a@sha256:" + strings.ToUpper(digits), "a@sha256:44", "a@", "a@sha256", "a@sha512:" + digits + digits, "a@sha384:" + digits + digits[:32], "a@md5:" + digits[:32], "a@sha256:" + digits + "@x", "a@SHA256:" + digits, "a:@sha256:" + digits,
	digits, digits[1:], "a/" + digits, strings.Repeat("a", 255), strings.Repeat("a", 256), "a.b/" + strings.Repeat("a", 255), "a.b/" + strings.Repeat("a/", 128), "a_b.c/" + strings.Repeat("a", 250), "u/" + strings.Repeat("a", 253), "u/" + strings.Repeat("a", 254),
}

const digits = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

// TestGrammar holds the grammar to the library that specifies it.
func TestGrammar(t *testing.T) {
	for _, name := range seeds {
		compare(t, name)
	}
}

func FuzzGrammar(f *testing.F) {
	for _, name := range seeds {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) { compare(t, name) })
}

func compare(t *testing.T, name string) {
	t.Helper()
	got, err := ParseBare(name)
	named, want := reference.ParseNormalizedNamed(name)
	if (err == nil) != (want == nil) {
		t.Fatalf("%q: got error %v, the library has %v", name, err, want)
	}
	if prefix := whole(reference.DomainRegexp, name) || below(name); IsPrefix(name) != prefix {
		t.Fatalf("%q: got prefix %t, the library has %t", name, !prefix, prefix)
	}
	if err != nil {
		return
	}
	if theirs := fields(named); got != theirs {
		t.Fatalf("%q: got %+v, the library has %+v", name, got, theirs)
	}
	full, err := Parse(name)
	if theirs := fields(reference.TagNameOnly(named)); err != nil || full != theirs {
		t.Fatalf("%q with its tag: got %+v, %v, the library has %+v", name, full, err, theirs)
	}
}

func fields(named reference.Named) Name {
	n := Name{Host: reference.Domain(named), Repository: reference.Path(named)}
	if d, ok := named.(reference.Digested); ok {
		n.Digest = d.Digest()
	}
	if t, ok := named.(reference.Tagged); ok {
		n.Tag = t.Tag()
	}
	return n
}

// below says that the library takes a text for a repository below a host.
func below(text string) bool {
	host, _, found := strings.Cut(text, "/")
	return found && whole(reference.DomainRegexp, host) && whole(reference.NameRegexp, text)
}

// whole says that a pattern matches all of a text.
func whole(pattern *regexp.Regexp, text string) bool {
	return regexp.MustCompile("^(?:" + pattern.String() + ")$").MatchString(text)
}
