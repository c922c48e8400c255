// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"os"
	"strings"
)

// CutPath parts "REF:PATH", a path in an image as users type it: PATH is
// absolute, so it begins at a ":/". It does not look whether REF is a
// reference; found is false where there is no PATH.
//
// In a Docker reference no other ":/" can be. The path of a layout or an
// archive may hold some. The first one counts that has an existing file or
// directory in front of it; where none has, the first of all counts, unless the
// whole is the path of something that exists.
func CutPath(s string) (ref, path string, found bool) {
	rest, at := s, -1
	for _, t := range []Transport{OCI, OCIArchive, DockerArchive} {
		if name, ok := strings.CutPrefix(s, string(t)+":"); ok {
			rest, at = name, endOfExisting(name)
		}
	}
	if name, ok := strings.CutPrefix(s, string(Docker)+"://"); ok {
		rest = name
	}
	if at < 0 {
		at = strings.Index(rest, ":/")
	}
	if at < 0 || at == len(rest) {
		return s, "", false
	}
	at += len(s) - len(rest)
	return s[:at], s[at+1:], true
}

// endOfExisting is where the first "PATH[:TAG][@DIGEST]" whose PATH exists ends,
// in front of a ":/" or at the end of s; -1 for none.
func endOfExisting(s string) int {
	for at := 0; at <= len(s); at++ {
		if at < len(s) && !strings.HasPrefix(s[at:], ":/") {
			continue
		}
		if path, _, _, err := splitPath(s[:at]); err == nil {
			if _, err := os.Stat(path); err == nil {
				return at
			}
		}
	}
	return -1
}
