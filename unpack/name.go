// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/layer"
)

const (
	maxName = 255
	// maxPath is the longest path that any program could use from the root
	// of the mount: the kernel takes PATH_MAX, its NUL included.
	maxPath = 4095
)

// kind is what a name means to a layer.
type kind byte

const (
	plain    kind = iota
	whiteout      // path is that of the deleted name
	opaque        // path is that of the directory
	aufs          // metadata of the AUFS storage driver, which Docker once left in layers
)

// parseName brings the name of an entry to its path: relative to the root,
// without empty or "." parts, "." for the root itself.
func parseName(name string) (path string, k kind, reason string) {
	if name == "" {
		return "", plain, "an empty name"
	}
	if len(name) > 2*maxPath {
		return "", plain, fmt.Sprintf("a path of %d bytes, more than %d", len(name), maxPath)
	}
	path, reason = clean(name)
	if reason != "" || path == "." {
		return path, plain, reason
	}
	if !strings.Contains(path, layer.WhiteoutPrefix) {
		return path, plain, ""
	}
	return parseWhiteout(path)
}

// clean removes what stands for nothing, and each ".." with the name before it,
// as path.Clean does. One that leads out is an error; see [unpacker.checkDotDot]
// for the others.
func clean(name string) (path, reason string) {
	if isClean(name) {
		return name, ""
	}
	b := make([]byte, 0, len(name))
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
			continue
		case part == ".." && len(b) == 0:
			return "", `a path that leads out with ".."`
		case part == "..":
			b = b[:max(bytes.LastIndexByte(b, '/'), 0)]
			continue
		case len(part) > maxName:
			return "", fmt.Sprintf("a name of %d bytes, more than %d", len(part), maxName)
		case strings.IndexByte(part, 0) >= 0:
			return "", "a name with a NUL"
		}
		if len(b) > 0 {
			b = append(b, '/')
		}
		b = append(b, part...)
	}
	switch {
	case len(b) == 0:
		return ".", ""
	case len(b) > maxPath:
		return "", fmt.Sprintf("a path of %d bytes, more than %d", len(b), maxPath)
	}
	return string(b), ""
}

// isClean is true for the names that need no work, which are most.
func isClean(name string) bool {
	if len(name) > maxName || name[0] == '/' || name[len(name)-1] == '/' {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c == 0:
			return false
		case c == '.' && (i == 0 || name[i-1] == '/') && (i+1 == len(name) || name[i+1] == '/' || name[i+1] == '.'):
			return false
		case c == '/' && name[i-1] == '/':
			return false
		}
	}
	return true
}

func parseWhiteout(path string) (string, kind, string) {
	dir, base := split(path)
	for part := range strings.SplitSeq(dir, "/") {
		if isAUFS(part) {
			return path, aufs, ""
		}
		if strings.HasPrefix(part, layer.WhiteoutPrefix) {
			return "", plain, "a directory name that begins with .wh."
		}
	}
	name, marked := strings.CutPrefix(base, layer.WhiteoutPrefix)
	switch {
	case !marked:
		return path, plain, ""
	case base == layer.OpaqueName:
		return dir, opaque, ""
	case isAUFS(base):
		return path, aufs, ""
	case strings.HasPrefix(base, layer.AUFSPrefix):
		return "", plain, "an unknown mark that begins with .wh..wh."
	case name == "" || name == "." || name == "..":
		return "", plain, "a whiteout of no name"
	}
	return join(dir, name), whiteout, ""
}

// isAUFS knows the names that layer.md does not speak of and old layers have.
func isAUFS(part string) bool {
	return part == ".wh..wh.aufs" || part == ".wh..wh.orph" || part == ".wh..wh.plnk"
}

// split parts a path into its directory and its last name.
func split(path string) (dir, base string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ".", path
	}
	return path[:i], path[i+1:]
}

func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}

// above yields the proper ancestors of path, the nearest first, "." last.
func above(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for path != "." {
			path, _ = split(path)
			if !yield(path) {
				return
			}
		}
	}
}
