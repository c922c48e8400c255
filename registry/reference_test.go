// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const someHex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"a name alone", "alpine", "docker.io/library/alpine:latest"},
		{"a tag", "alpine:3.20", "docker.io/library/alpine:3.20"},
		{"a user's repository", "team/app", "docker.io/team/app:latest"},
		{"docker's old name of the hub", "index.docker.io/library/alpine", "docker.io/library/alpine:latest"},
		{"skopeo's prefix", "docker://alpine", "docker.io/library/alpine:latest"},
		{"a port", "localhost:5000/a", "localhost:5000/a:latest"},
		{"localhost is a host", "localhost/a", "localhost/a:latest"},
		{"an address", "[::1]:5000/a/b:c", "[::1]:5000/a/b:c"},
		{"a digest", "a@sha256:" + someHex, "docker.io/library/a@sha256:" + someHex},
		{"a digest beside a tag decides", "a:b@sha256:" + someHex, "docker.io/library/a:b@sha256:" + someHex},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			again, err := Parse(r.String())
			if err != nil || again != r {
				t.Errorf("parsed again: got %v, %v, want the same", again, err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", ":", "UPPER", "a b", "host/../x", "a?b", "a#b", "http://host/a", "https://host/a", "bücher/a",
		"a@sha256:" + strings.ToUpper(someHex), "a@sha256:1234", "a@md5:" + someHex[:32], "a:b:c", "-a",
		"a@sha384:" + someHex + someHex[:32], "a\n", "a\x00", someHex, strings.Repeat("a", 9000),
		"oci:", "oci::tag", "oci-archive:", "oci:dir:", "oci:dir:a b", "oci:a\x00b", "oci:dir@sha256:12", "oci:dir:-",
	} {
		if r, err := Parse(in); !errors.Is(err, ErrReference) {
			t.Errorf("Parse(%.80q) = %v, %v, want an error", in, r, err)
		} else if strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("Parse(%.80q): error %q is not one line", in, err)
		}
	}
}

func TestParsePath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, d := range []string{"img", "img:1", "with:colon", "img:1:2"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ name, in, path, tag, digest string }{
		{"no tag", "oci:with:colon", "with:colon", "", ""},
		{"a tag after a colon in the path", "oci:with:colon:v1", "with:colon", "v1", ""},
		{"the longest path that exists", "oci:img:1:2", "img:1:2", "", ""},
		{"a shorter one with a tag", "oci:img:2", "img", "2", ""},
		{"a tag with colons", "oci:img:docker.io/library/a:1", "img", "docker.io/library/a:1", ""},
		{"a digest", "oci:img@sha256:" + someHex, "img", "", "sha256:" + someHex},
		{"a digest beside a tag", "oci:img:x@sha256:" + someHex, "img", "", "sha256:" + someHex},
		{"a path that is not there", "oci:none:x", "none", "x", ""},
		{"a path that is not there, with a slash", "oci:none/at/all:x", "none/at/all", "x", ""},
		{"a slash at the end", "oci:img/:x", "img", "x", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			want := Reference{transport: OCI, name: filepath.Join(dir, tt.path), tag: tt.tag}
			if tt.digest != "" {
				want = want.WithDigest("sha256:" + someHex)
			}
			if r != want {
				t.Errorf("got %v, want %v", r, want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"alpine", "a:b@sha256:" + someHex, "oci:dir:tag", "oci-archive:/x@sha256:" + someHex, "[::1]:5/a", "docker://x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			return
		}
		if r.Transport() == Docker && strings.ContainsAny(r.Host()+r.Repository()+r.Tag(), " ?#%\\@\n\x00") {
			t.Errorf("Parse(%q) = %q: unsafe in a URL", s, r)
		}
		again, err := Parse(r.String())
		// A path is looked for on disk; its text alone need not come back.
		if r.Transport() == Docker && (err != nil || again != r) {
			t.Errorf("Parse(%q) = %q, parsed again %q, %v", s, r, again, err)
		}
	})
}

func TestStoreReference(t *testing.T) {
	t.Parallel()
	r, err := Parse("store:alpine")
	if err != nil || r.String() != "store:docker.io/library/alpine:latest" || r.Host() != "" || r.Repository() != "" || r.Path() != "" {
		t.Fatalf("got %s, %v", r, err)
	}
	if again, err := Parse(r.String()); err != nil || again != r {
		t.Errorf("reads as %s, %v", again, err)
	}
	if in := r.InRegistry(); in.String() != "docker.io/library/alpine:latest" || in.InRegistry() != in {
		t.Errorf("in the registry it is %s", in)
	}
	if r, err := Parse("store:5000/app"); err != nil || r.Host() != "store:5000" {
		t.Errorf("a host with a port: %s, %v", r, err)
	}
	if _, err := Parse("store:"); !errors.Is(err, ErrReference) {
		t.Errorf("nothing: %v", err)
	}
}
