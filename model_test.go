// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"archive/tar"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// inode is a file of the model: several names may share one.
type inode struct {
	typeflag byte
	mode     int64
	uid, gid int
	modTime  time.Time
	xattrs   map[string]string
	content  string // a regular file's bytes, or a symlink's target
	children map[string]*inode
}

func (n *inode) isDir() bool { return n != nil && n.typeflag == tar.TypeDir }

// impliedDir is a directory that no layer has said anything of.
func impliedDir() *inode {
	return &inode{typeflag: tar.TypeDir, mode: 0o755, modTime: time.Unix(0, 0), children: map[string]*inode{}}
}

// model is a root filesystem to which layers are applied one by one, by the
// words of the image specification's layer.md: first what the layer deletes
// from the layers below it, then what it adds or changes. It is as simple as
// can be, to be the reference for the real thing.
type model struct{ root *inode }

func newModel() *model { return &model{root: impliedDir()} }

func (m *model) apply(layer []imagetest.Entry) {
	for _, e := range layer {
		dir, base := split(e.Name)
		switch {
		case e.Name == ".wh..wh..opq":
			// The stack is cut below such a layer: the root's own attributes
			// are those of nobody then, unless the layer says them.
			m.root = impliedDir()
		case base == ".wh..wh..opq":
			if n := m.find(dir); n.isDir() {
				n.children = map[string]*inode{}
			}
		case strings.HasPrefix(base, ".wh."):
			if n := m.find(dir); n.isDir() {
				delete(n.children, strings.TrimPrefix(base, ".wh."))
			}
		}
	}
	// A hardlink means the file as this layer leaves it, wherever the entry
	// stands, so the names that share a file come last.
	for _, links := range []bool{false, true} {
		for _, e := range layer {
			if (e.Typeflag == tar.TypeLink) == links {
				m.add(e)
			}
		}
	}
}

func (m *model) add(e imagetest.Entry) {
	dir, base := split(e.Name)
	if base == "." {
		m.describe(m.root, e)
		return
	}
	// A whiteout only takes away; an opaque mark says that there is a directory.
	if strings.HasPrefix(base, ".wh.") && base != ".wh..wh..opq" {
		return
	}
	parent := m.makeDir(dir)
	if base == ".wh..wh..opq" {
		return
	}
	if e.Typeflag == tar.TypeLink {
		parent.children[base] = m.find(e.Linkname)
		return
	}
	n := parent.children[base]
	if e.Typeflag != tar.TypeDir || !n.isDir() {
		n = &inode{children: map[string]*inode{}}
		parent.children[base] = n
	}
	m.describe(n, e)
}

func (m *model) describe(n *inode, e imagetest.Entry) {
	n.typeflag, n.mode, n.uid, n.gid, n.modTime = e.Typeflag, e.Mode, e.Uid, e.Gid, e.ModTime
	n.content = e.Body + e.Linkname
	n.xattrs = map[string]string{}
	for key, value := range e.PAXRecords {
		n.xattrs[strings.TrimPrefix(key, "SCHILY.xattr.")] = value
	}
}

// makeDir makes the directories that lead to name, where they are not there.
func (m *model) makeDir(name string) *inode {
	n := m.root
	for _, c := range components(name) {
		next := n.children[c]
		if !next.isDir() {
			next = impliedDir()
			n.children[c] = next
		}
		n = next
	}
	return n
}

func (m *model) find(name string) *inode {
	n := m.root
	for _, c := range components(name) {
		if !n.isDir() {
			return nil
		}
		n = n.children[c]
	}
	return n
}

// listing tells every path in a line that has all that must be equal, and the
// groups of names that share a file.
func (m *model) listing() []string {
	var lines []string
	names := map[*inode][]string{}
	var walk func(name string, n *inode)
	walk = func(name string, n *inode) {
		lines = append(lines, describeLine(name, n))
		if !n.isDir() {
			names[n] = append(names[n], name)
		}
		for _, c := range slices.Sorted(maps.Keys(n.children)) {
			walk(path.Join(name, c), n.children[c])
		}
	}
	walk(".", m.root)
	return append(lines, groupLines(slices.Collect(maps.Values(names)))...)
}

func describeLine(name string, n *inode) string {
	mode := n.mode
	if n.typeflag == tar.TypeSymlink {
		mode = 0o777 // Linux keeps no other for a symlink
	}
	var xattrs []string
	for _, k := range slices.Sorted(maps.Keys(n.xattrs)) {
		xattrs = append(xattrs, fmt.Sprintf("%s=%q", k, n.xattrs[k]))
	}
	return fmt.Sprintf("%s %c %04o %d:%d %d %q %s", name, n.typeflag, mode, n.uid, n.gid, n.modTime.Unix(), n.content, xattrs)
}

func groupLines(groups [][]string) []string {
	var lines []string
	for _, g := range groups {
		if len(g) > 1 {
			slices.Sort(g)
			lines = append(lines, "same file: "+strings.Join(g, " "))
		}
	}
	slices.Sort(lines)
	return lines
}

func split(name string) (dir, base string) {
	name = strings.TrimSuffix(name, "/")
	if name == "." || name == "" {
		return "", "."
	}
	dir, base = path.Split(name)
	return strings.TrimSuffix(dir, "/"), base
}

func components(name string) []string {
	if name = strings.Trim(name, "/"); name == "" || name == "." {
		return nil
	}
	return strings.Split(name, "/")
}
