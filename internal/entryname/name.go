// SPDX-License-Identifier: Apache-2.0

package entryname

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/layer"
)

// The lengths that a filesystem and the kernel take, in bytes.
const (
	MaxName = 255
	// MaxPath is the longest path that any program could use from the root
	// of the mount: the kernel takes PATH_MAX, its NUL included.
	MaxPath = 4095
)

// Kind is what a name means to a layer.
type Kind byte

// The kinds of names.
const (
	Plain    Kind = iota
	Whiteout      // the path is that of the deleted name
	Opaque        // the path is that of the directory
	AUFS          // metadata of the AUFS storage driver, which Docker once left in layers
)

// Parse brings the name of an entry to its path: relative to the root,
// without empty or "." parts, "." for the root itself. Where there is a reason the
// name is refused for it.
func Parse(name string) (path string, k Kind, reason string) {
	if name == "" {
		return "", Plain, "an empty name"
	}
	if len(name) > 2*MaxPath {
		return "", Plain, fmt.Sprintf("a path of %d bytes, more than %d", len(name), MaxPath)
	}
	path, reason = clean(name)
	if reason != "" || path == "." {
		return path, Plain, reason
	}
	if !strings.Contains(path, layer.WhiteoutPrefix) {
		return path, Plain, ""
	}
	return parseWhiteout(path)
}

// clean removes what stands for nothing, and each ".." with the name before it,
// as path.Clean does. One that leads out is an error; whether another one
// means the same to everyone is for who knows the symlinks.
func clean(name string) (path, reason string) {
	if IsClean(name) {
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
		case len(part) > MaxName:
			return "", fmt.Sprintf("a name of %d bytes, more than %d", len(part), MaxName)
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
	case len(b) > MaxPath:
		return "", fmt.Sprintf("a path of %d bytes, more than %d", len(b), MaxPath)
	}
	return string(b), ""
}

// IsClean is true for a name that is its path already, as most are.
func IsClean(name string) bool {
	if len(name) > MaxName || name[0] == '/' || name[len(name)-1] == '/' {
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

func parseWhiteout(path string) (string, Kind, string) {
	dir, base := Split(path)
	for part := range strings.SplitSeq(dir, "/") {
		if isAUFS(part) {
			return path, AUFS, ""
		}
		if strings.HasPrefix(part, layer.WhiteoutPrefix) {
			return "", Plain, "a directory name that begins with .wh."
		}
	}
	name, marked := strings.CutPrefix(base, layer.WhiteoutPrefix)
	switch {
	case !marked:
		return path, Plain, ""
	case base == layer.OpaqueName:
		return dir, Opaque, ""
	case isAUFS(base):
		return path, AUFS, ""
	case strings.HasPrefix(base, layer.AUFSPrefix):
		return "", Plain, "an unknown mark that begins with .wh..wh."
	case name == "" || name == "." || name == "..":
		return "", Plain, "a whiteout of no name"
	}
	return Join(dir, name), Whiteout, ""
}

// isAUFS knows the names that layer.md does not speak of and old layers have.
func isAUFS(part string) bool {
	return part == ".wh..wh.aufs" || part == ".wh..wh.orph" || part == ".wh..wh.plnk"
}

// Split parts a path into its directory and its last name.
func Split(path string) (dir, base string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ".", path
	}
	return path[:i], path[i+1:]
}

// Join is the path of a name in a directory.
func Join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}

// Above yields the proper ancestors of path, the nearest first, "." last.
func Above(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for path != "." {
			path, _ = Split(path)
			if !yield(path) {
				return
			}
		}
	}
}
