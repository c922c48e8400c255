// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/shortname"
	"github.com/layerctl/layerctl/trust/internal/jsontree"
)

const (
	pinned = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	other  = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	rhel   = "registry.access.redhat.com/rhel7/rhel:7.2.3"
)

// pair is an image and what a signature calls it. The answers are those of
// containers/image 5.36, the library of podman and skopeo: equal, whichever of
// the two is which; in the same repository, likewise; and the one that is asked
// for where nothing is said.
type pair struct {
	image, signed           string
	exact, repository, both bool // both: matchRepoDigestOrExact
}

func pairs() []pair {
	return []pair{
		{"busybox:latest", "busybox:latest", true, true, true},
		{rhel, rhel, true, true, true},
		{"busybox" + pinned, "busybox" + pinned, true, true, true},
		{"library/busybox:latest", "busybox:latest", true, true, true},
		{"docker.io/library/busybox:latest", "busybox:latest", true, true, true},
		{"library/busybox" + pinned, "busybox" + pinned, true, true, true},
		{"busybox:latest", "busybox:notlatest", false, true, false},
		{"busybox:latest", "notbusybox:latest", false, false, false},
		{"busybox:latest", "hostname/library/busybox:notlatest", false, false, false},
		{"hostname/library/busybox:latest", "busybox:latest", false, false, false},
		{"busybox:latest", rhel, false, false, false},
		{"busybox" + pinned, "notbusybox" + pinned, false, false, false},
		{"busybox:latest", "busybox" + pinned, false, true, false},
		{"busybox" + pinned, "busybox:latest", false, true, true},
		{"busybox" + pinned, "busybox" + other, false, true, true},
		{"busybox", "busybox:latest", false, true, false},
		{"busybox", "busybox" + pinned, false, true, false},
		{"busybox", "busybox", false, true, false},
		{"busybox:latest", "busybox", false, true, false},
		{"busybox" + pinned, "busybox", false, true, false},
		{"busybox:latest" + pinned, "busybox:latest" + pinned, true, true, true},
		{"busybox:latest" + pinned, "busybox:latest" + other, false, true, false},
		{"busybox:latest" + pinned, "busybox:notlatest" + pinned, false, true, false},
		{"busybox:latest" + pinned, "busybox" + pinned, false, true, false},
		{"busybox:latest" + pinned, "busybox:latest", false, true, false},
		{"busybox:latest", "busybox:latest" + pinned, false, true, false},
		{rhel + "tagsuffix", rhel, false, true, false},
		{rhel, "registry.access.redhat.com/rhel7/rhel", false, true, false},
		{"busybox:latest", "UPPERCASE_IS_INVALID", false, false, false},
		{"busybox:latest", "", false, false, false},
	}
}

func identity(t testing.TB, text string) *Identity {
	t.Helper()
	v, err := jsontree.Parse([]byte(text), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	i := parseIdentity(v)
	if v.Err() != nil {
		t.Fatal(v.Err())
	}
	return &i
}

func bare(t testing.TB, text string) shortname.Name {
	t.Helper()
	n, err := shortname.ParseBare(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestIdentities(t *testing.T) {
	for _, p := range pairs() {
		image := bare(t, p.image)
		domain := image.Host
		kinds := map[string]bool{
			`{"type":"matchExact"}`:             p.exact,
			`{"type":"matchRepository"}`:        p.repository,
			`{"type":"matchRepoDigestOrExact"}`: p.both,
			`{"type":"remapIdentity","prefix":"no.example","signedPrefix":"no.example"}`: p.both,
			fmt.Sprintf(`{"type":"exactRepository","dockerRepository":%q}`, p.image):     p.repository,
		}
		if !image.IsBare() {
			kinds[fmt.Sprintf(`{"type":"exactReference","dockerReference":%q}`, p.image)] = p.exact
		}
		for kind, want := range kinds {
			if got := identity(t, kind).Accepts(&image, p.signed); got != want {
				t.Errorf("%s: %s signed as %s: %v", kind, p.image, p.signed, got)
			}
		}
		moved := image
		moved.Host = "moved.example"
		remap := fmt.Sprintf(`{"type":"remapIdentity","prefix":"moved.example","signedPrefix":%q}`, domain)
		if got := identity(t, remap).Accepts(&moved, p.signed); got != p.both {
			t.Errorf("%s: %s signed as %s: %v", remap, p.image, p.signed, got)
		}
	}
	if got := parseIdentity(nil); got.kind != matchRepoDigest {
		t.Errorf("where nothing is said: %v", got)
	}
}

// What has no name in a registry can only be asked for one that is named.
func TestIdentitiesWithoutAName(t *testing.T) {
	for kind, want := range map[string]bool{
		`{"type":"matchExact"}`:             false,
		`{"type":"matchRepository"}`:        false,
		`{"type":"matchRepoDigestOrExact"}`: false,
		`{"type":"remapIdentity","prefix":"docker.io","signedPrefix":"docker.io"}`: false,
		`{"type":"exactReference","dockerReference":"busybox:1"}`:                  true,
		`{"type":"exactRepository","dockerRepository":"busybox"}`:                  true,
	} {
		if got := identity(t, kind).Accepts(nil, "busybox:1"); got != want {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

func TestRemap(t *testing.T) {
	for _, c := range []struct{ prefix, signed, image, want string }{
		{"mirror.example", "vendor.example", "mirror.example/ns/image:tag", "vendor.example/ns/image:tag"},
		{"mirror.example", "vendor.example", "different.com/ns/image:tag", "different.com/ns/image:tag"},
		{"mirror.example/ns", "vendor.example/vendor-ns", "mirror.example/different-ns/image:tag", "mirror.example/different-ns/image:tag"},
		{"docker.io", "not-docker-signed.example/ns", "busybox", "not-docker-signed.example/ns/library/busybox"},
		{"example.com/mirror", "example.com/vendor", "example.com/mirror/image:tag", "example.com/vendor/image:tag"},
		{"example.com/ns/mirror", "example.com/ns/vendor", "example.com/ns/mirror:tag", "example.com/ns/vendor:tag"},
		{"mirror.example", "vendor.example", "prefixmirror.example/ns/image:tag", "prefixmirror.example/ns/image:tag"},
		{"docker.io/library", "not-docker-signed.example/ns", "busybox", "not-docker-signed.example/ns/busybox"},
		{"docker.io/library/busybox", "not-docker-signed.example/ns/notbusybox", "busybox", "not-docker-signed.example/ns/notbusybox"},
		{"mirror.example", "vendor.example", "mirror.example/image" + pinned, "vendor.example/image" + pinned},
		{"mirror.example", "vendor.example", "mirror.example/image:tag" + pinned, "vendor.example/image:tag" + pinned},
		{"example.com:5000", "v.example", "example.com:50000/image", "example.com:50000/image"},
		{"example.com", "v.example", "example.com:5000/image", "example.com:5000/image"},
		{"docker.io/library", "v.example", "libraryy/image", "docker.io/libraryy/image"},
		{"example.com/ns/image", "v.example/image", "example.com/ns/imagee", "example.com/ns/imagee"},
		// What would be no name in full, or one of Docker Hub.
		{"mirror.example/ns/image", "vendor.example:5000", "mirror.example/ns/image:tag", ""},
		{"mirror.example/ns/image", "vendor.example:5000", "mirror.example/ns/image" + pinned, ""},
		{"mirror.example/ns/image", "notlocalhost", "mirror.example/ns/image:tag", ""},
		{"mirror.example", "busybox", "mirror.example/x:1", ""},
	} {
		image := bare(t, c.image)
		got, ok := (&Identity{kind: remapIdentity, prefix: c.prefix, signed: c.signed}).remap(&image)
		if text := got.String(); ok != (c.want != "") || ok && text != c.want {
			t.Errorf("%s for %s: %s becomes %s, %v, want %s", c.signed, c.prefix, c.image, text, ok, c.want)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for _, good := range []string{"localhost", "example.com", "example.com:80", "example.com/repo", "example.com/ns1/ns2/ns3/repo.with.dots-dashes_underscores", "example.com:80/ns1/repo"} {
		if !shortname.IsPrefix(good) {
			t.Errorf("%q is none", good)
		}
	}
	for _, bad := range []string{"", "repo_with_underscores", "example.com/", "example.com/UPPERCASE", "example.com/repo/", "example.com/repo:tag", "example.com/repo" + pinned, "example.com/repo:tag" + pinned, strings.Repeat("/", 5)} {
		if shortname.IsPrefix(bad) {
			t.Errorf("%q is one", bad)
		}
	}
}
