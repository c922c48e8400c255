// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// What other programs call a transport is never a name at Docker Hub.
func TestParseRefusesOtherTransports(t *testing.T) {
	t.Parallel()
	for in, word := range map[string]string{
		"docker-daemon:alpine:latest":            "'docker save'",
		"docker-daemon:":                         "'docker save'",
		"docker-daemon":                          "docker-archive:FILE",
		"containers-storage:localhost/app":       "'podman save'",
		"containers-storage:[overlay@/var/lib]a": "'podman save'",
		"containers-storage":                     "'podman save'",
		"dir:/srv/image":                         "'skopeo copy'",
		"dir:image":                              "oci:DIR",
		"dir":                                    "oci:DIR",
		"ostree:app@/ostree/repo":                "oci:DIR",
		"ostree:app":                             "oci:DIR",
		"sif:image.sif":                          "oci:DIR",
		"tarball:rootfs.tar":                     "oci:DIR",
		"atomic:app":                             "oci:DIR",
		"oci-layout:///srv/image":                "oci-archive:FILE",
		"file:image.tar":                         "docker-archive:FILE",
		"file:///srv/image":                      "oci:DIR",
		"docker-image://alpine":                  "leave out docker-image://",
		"http://host/a":                          "leave out http://",
		"https://host/a":                         "leave out https://",
		"ipfs://bafy":                            "ipfs:// is not read here",
		"oras://host/a":                          "oras:// is not read here",
		"library://alpine":                       "library:// is not read here",
		"docker-archive":                         "docker-archive:PATH",
		"oci-archive":                            "oci-archive:PATH",
		"oci":                                    "oci:PATH",
		"docker:/alpine":                         "two slashes",
		"docker:library/alpine":                  "two slashes",
	} {
		r, err := Parse(in)
		if !errors.Is(err, ErrReference) {
			t.Errorf("%s: got %v, %v, want an error", in, r, err)
		} else if !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), in) {
			t.Errorf("%s: got %q, want one that says %q", in, err, word)
		}
	}
}

// Names that only look like those.
func TestParseNamesLikeTransports(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"docker:27":                      "docker.io/library/docker:27",
		"docker:27-dind":                 "docker.io/library/docker:27-dind",
		"docker":                         "docker.io/library/docker:latest",
		"docker://docker":                "docker.io/library/docker:latest",
		"docker://reg.example:5000/a:b":  "reg.example:5000/a:b",
		"docker://a:b@sha256:" + someHex: "docker.io/library/a:b@sha256:" + someHex,
		"dir:5000/app:v1":                "dir:5000/app:v1",
		"docker-daemon:443/app":          "docker-daemon:443/app:latest",
		"registry:2":                     "docker.io/library/registry:2",
		"docker.io/library/dir:latest":   "docker.io/library/dir:latest",
		"localhost/docker-archive":       "localhost/docker-archive:latest",
		"directory":                      "docker.io/library/directory:latest",
		"oci/app":                        "docker.io/oci/app:latest",
		"image.tar":                      "docker.io/library/image.tar:latest", // there is no such file
	} {
		if r, err := Parse(in); err != nil || r.String() != want {
			t.Errorf("%s: got %v, %v, want %s", in, r, err, want)
		}
	}
}

func TestParseSaysWhy(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"image.tar", "Image.TAR", "image.tar.gz", "image.txz", "alpine"} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll("layout/blobs", 0o755); err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"":                                   "it is empty",
		"docker://":                          "it is empty",
		"alpine ":                            "a blank at its start or end",
		" alpine":                            "a blank at its start or end",
		"alpine\n":                           "a blank at its start or end",
		"alpine:3.20\r":                      "a blank at its start or end",
		"al pine":                            "a blank in it",
		"alpine:3 .20":                       "a blank in it",
		"alpine:":                            "the tag is empty",
		"localhost:5000/a:":                  "the tag is empty",
		"alpine:@sha256:" + someHex:          "the tag is empty",
		":3.20":                              "no name",
		"@sha256:" + someHex:                 "no name",
		"alpine:-x":                          `the tag "-x"`,
		"alpine:" + strings.Repeat("x", 129): "128",
		"alpine:3.20:1":                      "more than one colon",
		"localhost:99999/a":                  "no port 99999",
		"localhost:0/a":                      "no port 0",
		"localhost:/a":                       "no port behind the colon",
		"alpine@":                            "the digest is empty",
		"alpine@" + someHex:                  "no algorithm",
		"alpine@sha256:1234":                 "the digest has 4 hexadecimal digits, and sha256 has 64",
		"alpine@sha256:" + someHex + "0":     "has 65 hexadecimal",
		"alpine@sha512:" + someHex:           "sha512 has 128",
		"alpine@sha256:" + strings.ToUpper(someHex): "must be small",
		"alpine@sha256:" + strings.Repeat("x", 64):  "not hexadecimal",
		"alpine@md5:0123":                           "only sha256 and sha512",
		"oci:x@sha256:12":                           "the digest has 2 hexadecimal digits",
		"oci:x:":                                    "the tag is empty",
		"Alpine":                                    "small letters",
		"host.example/Team/app":                     "behind the host must be of small letters",
		"a//b":                                      "before or behind a slash",
		"host.example/":                             "before or behind a slash",
		"a?b":                                       "small letters, digits",
		"bücher/a":                                  "small letters, digits",
		"-a":                                        "begins and ends with a letter or digit",
		someHex:                                     "an image's ID",
		"image.tar":                                 "it is a file: oci-archive:image.tar or docker-archive:image.tar",
		"image.tar.gz":                              "it is a file: oci-archive:image.tar.gz",
		"image.txz":                                 "it is a file",
		"./image.tar":                               "it is a file: oci-archive:./image.tar",
		"./alpine":                                  "it is a file: oci-archive:./alpine",
		"Image.TAR":                                 "it is a file",
		"./layout":                                  "it is a directory: oci:./layout",
		"layout/":                                   "it is a directory: oci:layout/",
		"./none.tar":                                "a file that is not there",
		"/none/at/all":                              "a file that is not there",
	} {
		r, err := Parse(in)
		if !errors.Is(err, ErrReference) {
			t.Errorf("%q: got %v, %v, want an error", in, r, err)
		} else if !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%q: got %q, want %q", in, err, want)
		}
	}
	// A name that is one stays one, whatever lies around.
	for _, in := range []string{"alpine", "alpine:3.20", "layout", "image.tar:v1"} {
		if r, err := Parse(in); err != nil || r.Transport() != Docker {
			t.Errorf("%q: got %v, %v", in, r, err)
		}
	}
}
