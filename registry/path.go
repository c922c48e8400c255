// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/layerctl/layerctl/internal/shortname"
	"github.com/layerctl/layerctl/registry/internal/local"
	"github.com/opencontainers/go-digest"
)

// dockerTag matches a Docker tag, which may also be the name of an image in an archive.
var dockerTag = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[\w][\w.-]{0,127}$`)
})

// isName reports whether s can be the name of an image in a layout or an archive.
func isName(s string) bool {
	if refName().MatchString(s) || dockerTag().MatchString(s) {
		return true
	}
	_, err := shortname.Parse(s)
	return err == nil
}

// refName matches the annotation org.opencontainers.image.ref.name, see
// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md
var refName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9]+(?:(?:[-._:@+/]|--)[A-Za-z0-9]+)*$`)
})

// parsePath reads what follows the transport of a layout or an archive:
// PATH[:TAG][@DIGEST].
func parsePath(t Transport, whole, rest string) (Reference, error) {
	path, tag, dgst, err := splitPath(rest)
	if err != nil {
		return Reference{}, fmt.Errorf("%w %q: %w", ErrReference, whole, err)
	}
	if err := checkDigest(whole, dgst); err != nil {
		return Reference{}, err
	}
	if dgst != "" {
		tag = ""
	}
	if path == local.Stdin && t != OCI {
		return Reference{transport: t, name: path, tag: tag, digest: dgst}, nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return Reference{}, fmt.Errorf("%w %q: %w", ErrReference, whole, err)
	}
	return Reference{transport: t, name: abs, tag: tag, digest: dgst}, nil
}

// splitPath divides PATH[:TAG][@DIGEST]. The PATH is the longest one that exists.
func splitPath(s string) (path, tag string, dgst digest.Digest, err error) {
	if strings.IndexByte(s, 0) >= 0 {
		return "", "", "", errors.New("NUL in a path")
	}
	if s == "" || s[0] == ':' { // a path that begins with a colon is written "./:x"
		return "", "", "", errors.New("there is no path in it")
	}
	if path = local.Stdin; s != path && !strings.HasPrefix(s, path+":") && !strings.HasPrefix(s, path+"@") {
		path = longestExisting(s)
	}
	tag = s[len(path):]
	if name, d, ok := cutDigest(tag); ok {
		tag, dgst = name, d
	}
	if tag == "" {
		return path, "", dgst, nil
	}
	if tag = tag[1:]; tag == "" { // without the colon
		return "", "", "", errors.New("the tag is empty")
	}
	if !isName(tag) {
		return "", "", "", fmt.Errorf("the tag %q is no name of an image", tag)
	}
	return path, tag, dgst, nil
}

// longestExisting returns the path at the beginning of s: up to the last colon or digest
// in front of which there is an existing path, or else up to the first colon or digest.
func longestExisting(s string) string {
	shortest := s
	for end := len(s); end > 0; {
		if _, err := os.Stat(s[:end]); err == nil {
			return s[:end]
		}
		shortest = s[:end]
		end = lastSeparator(s[:end])
	}
	return shortest
}

// lastSeparator returns where the tag (":TAG") or the digest ("@ALGORITHM:HEX") at the
// end of s begins; 0 if there is none.
func lastSeparator(s string) int {
	if name, _, ok := cutDigest(s); ok {
		return len(name)
	}
	return max(strings.LastIndexByte(s, ':'), 0)
}

// cutDigest cuts "@sha256:…" from the end of s.
func cutDigest(s string) (before string, d digest.Digest, found bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 || !strings.Contains(s[i:], ":") || strings.Contains(s[i:], "/") {
		return s, "", false
	}
	return s[:i], digest.Digest(s[i+1:]), true
}
