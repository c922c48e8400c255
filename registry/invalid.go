// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/registry/internal/content"
)

// foreignTransports has the transports of other programs, and for each what the user can
// do instead. None of them is the name of an image at Docker Hub.
var foreignTransports = map[string]string{
	"docker-daemon":      "'docker save' writes an image of it to a file, which docker-archive:FILE names",
	"containers-storage": "'podman save' writes an image of it to a file, which docker-archive:FILE names",
	"dir":                "'skopeo copy' makes a layout of it, which oci:DIR names",
	"ostree":             "'skopeo copy' makes a layout of it, which oci:DIR names",
	"atomic":             "'skopeo copy' makes a layout of it, which oci:DIR names",
	"sif":                "'skopeo copy' makes a layout of it, which oci:DIR names",
	"tarball":            "'skopeo copy' makes a layout of it, which oci:DIR names",
	"oci-layout":         "an OCI image layout is oci:DIR, a tar of one oci-archive:FILE",
	"oci-dir":            "an OCI image layout is oci:DIR, a tar of one oci-archive:FILE",
	"file":               "an OCI image layout is oci:DIR, a tar of one oci-archive:FILE, what 'docker save' writes docker-archive:FILE",
	"docker-image":       "leave out docker-image://",
	"http":               "leave out http://",
	"https":              "leave out https://",
}

// behindPort matches what follows the colon of a host with a port.
var behindPort = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[0-9]{1,5}/`)
})

// refuseTransport refuses a reference that begins with another program's transport, or
// that is a transport's name without a path. "docker:27" is no such reference but an
// image of that name, and "dir:5000/app" an image on a host.
func refuseTransport(s string) error {
	name, rest, found := strings.Cut(s, ":")
	if behindPort().MatchString(rest) {
		return nil
	}
	instead, known := foreignTransports[name]
	switch t := Transport(name); {
	case known:
		return invalid(s, "%s: is not read here: %s", name, instead)
	case t == OCI || t == OCIArchive || t == DockerArchive:
		return invalid(s, "it names no file: %s:PATH does", name)
	case found && strings.HasPrefix(rest, "//") && t != Docker:
		return invalid(s, "%s:// is not read here", name)
	}
	return nil
}

// invalid is the error of a reference that is s.
func invalid(s, format string, args ...any) error {
	return fmt.Errorf("%w %q: %s", ErrReference, s, fmt.Sprintf(format, args...))
}

// imageID matches what 'docker images --no-trunc' prints, without the algorithm.
var imageID = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[0-9a-f]{64}$`)
})

// archiveName matches the names of files that are surely archives.
var archiveName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\.(tar|tar\.[a-z0-9]+|tgz|tbz2?|txz|tzst)$`)
})

// refuseFile refuses the name of an archive without a transport, if the file exists: by
// the grammar it would be an image at Docker Hub.
func refuseFile(s string) error {
	if archiveName().MatchString(s) && isFile(s) {
		return invalid(s, "%s", asFile(s))
	}
	return nil
}

func isFile(s string) bool {
	st, err := os.Stat(s)
	return err == nil && st.Mode().IsRegular()
}

func asFile(s string) string {
	return fmt.Sprintf("it is a file: oci-archive:%s or docker-archive:%s reads it", s, s)
}

// why says why s is no Docker reference. err is the parser's own error.
func why(s string, err error) string {
	name, dgst, pinned := strings.Cut(s, "@")
	name, tag, tagged := cutTag(name)
	st, missing := os.Stat(s)
	switch {
	case s == "":
		return "it is empty"
	case strings.TrimSpace(s) != s:
		return "there is a blank at its start or end"
	case missing == nil && st.IsDir():
		return fmt.Sprintf("it is a directory: oci:%s reads an OCI image layout", s)
	case missing == nil:
		return asFile(s)
	case strings.ContainsAny(s, " \t\r\n"):
		return "there is a blank in it"
	case filepath.IsAbs(s) || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../"):
		return "it is the path of a file that is not there; archives are oci-archive:FILE or docker-archive:FILE"
	case tagged && tag == "":
		return "the tag is empty"
	case tagged && !dockerTag().MatchString(tag):
		return fmt.Sprintf("the tag %q is not 1 to 128 letters, digits and _ . -", tag)
	case pinned:
		if fault := digestFault(digest.Digest(dgst)); fault != "" {
			return fault
		}
	}
	return whyName(name, err)
}

// cutTag cuts ":TAG" from a name. The colon of a port is none.
func cutTag(s string) (name, tag string, found bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.Contains(s[i:], "/") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// whyName says why a name is invalid, without tag and digest.
func whyName(name string, err error) string {
	switch {
	case name == "":
		return "there is no name in it"
	case strings.HasPrefix(name, "docker:"):
		return "docker:// is what begins a reference to a registry, with two slashes"
	case strings.Contains(name, "//") || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/"):
		return "there is nothing before or behind a slash"
	case strings.Contains(name, ":/"):
		return "there is no port behind the colon of the host"
	case strings.ToLower(name) != name && strings.Contains(name, "/"):
		return "the name behind the host must be of small letters"
	case strings.ToLower(name) != name:
		return "the name must be of small letters"
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-/:[]") != "":
		return "a name is of small letters, digits and . _ - /"
	case strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":"):
		return "there is more than one colon behind the name"
	case imageID().MatchString(name):
		return "that is an image's ID, and registries know names"
	case strings.HasSuffix(err.Error(), "invalid reference format"):
		return "a name begins and ends with a letter or digit, and so does each part of it"
	}
	return err.Error()
}

// portFault is what is wrong with the port of a host, or "".
func portFault(host string) string {
	_, port, err := net.SplitHostPort(host)
	if n, notNumber := strconv.Atoi(port); err == nil && (notNumber != nil || n < 1 || n > 65535) {
		return fmt.Sprintf("there is no port %s: they go from 1 to 65535", port)
	}
	return ""
}

// digestFault says what is wrong with a digest; "" for a valid one.
func digestFault(d digest.Digest) string {
	algorithm, hex, found := strings.Cut(string(d), ":")
	want := map[string]int{"sha256": 64, "sha512": 128}[algorithm]
	switch {
	case d == "":
		return "the digest is empty"
	case !found:
		return fmt.Sprintf("the digest %q has no algorithm: sha256:…", string(d))
	case want == 0:
		return fmt.Sprintf("digest algorithm %q: only sha256 and sha512", algorithm)
	case strings.Trim(strings.ToLower(hex), "0123456789abcdef") != "":
		return fmt.Sprintf("the digest %q is not hexadecimal", string(d))
	case len(hex) != want:
		return fmt.Sprintf("the digest has %d hexadecimal digits, and %s has %d", len(hex), algorithm, want)
	case strings.ToLower(hex) != hex:
		return "the hexadecimal digits of the digest must be small"
	}
	if err := content.CheckDigest(d); err != nil {
		return err.Error()
	}
	return ""
}
