// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"os"
	"strings"
)

// CutPath divides "REF:PATH", a path in an image as users type it. PATH is absolute, so
// a ":/" divides them. REF is not parsed. found is false where there is no PATH.
//
// A Docker reference contains no ":/", but the path of a layout or an archive may. Then
// the first ":/" counts that has the path of an existing file or directory in front of
// it. If none has, the whole is REF if its path exists; otherwise the first ":/" counts.
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

// endOfExisting returns the end of the shortest "PATH[:TAG][@DIGEST]" whose PATH exists
// and which ends in front of a ":/" or at the end of s; -1 if there is none.
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
