// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"errors"
	"strings"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// maxDotDot bounds the system calls for one name.
const maxDotDot = 64

// checkDotDot accepts a name with ".." unless the component before a ".." is a
// symlink of this layer. There tools would differ: some clean the name as a text,
// a kernel follows the symlink.
func (u *unpacker) checkDotDot(name string) error {
	if !strings.Contains(name, "..") {
		return nil
	}
	var path []string
	found := 0
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			if found++; found > maxDotDot {
				return u.malformed(`a path with more than %d ".."`, maxDotDot)
			}
			if err := u.checkNoSymlink(path); err != nil {
				return err
			}
			path = path[:len(path)-1]
		default:
			path = append(path, part)
		}
	}
	if found == 0 {
		return nil
	}
	return u.note(layer.NoteDotDot)
}

// checkNoSymlink refuses a path that is a symlink of this layer.
func (u *unpacker) checkNoSymlink(path []string) error {
	above, base := strings.Join(path[:len(path)-1], "/"), path[len(path)-1]
	if above == "" {
		above = "."
	}
	d, err := u.parent(above, forTarget)
	var absent *absentError
	switch {
	case errors.As(err, &absent), err == errGone:
		return nil
	case err != nil:
		return err
	}
	st, err := u.disk.Lstat(d.FD, base)
	switch {
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return failed("stat", entryname.Join(d.Path, base), err)
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return u.malformed(`a path with ".." behind the symlink %s`, entryname.Quote(entryname.Join(d.Path, base)))
	}
	return nil
}
