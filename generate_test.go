// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"archive/tar"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// generator makes random layers that change what the layers below made:
// deletions, replacements, opaque directories, hardlinks within a layer and
// into a lower one, directories that no entry says.
type generator struct {
	*rand.Rand
	model *model

	// of the layer that is being made
	entries []imagetest.Entry
	taken   map[string]byte // path to the type that this layer gives it
	needed  []string        // what hardlinks into lower layers lead to
	count   int
}

// stack makes layers, the lowest first, and the model that they come to.
func stack(seed uint64) ([][]imagetest.Entry, *model) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), model: newModel()}
	var layers [][]imagetest.Entry
	for range 1 + g.IntN(5) {
		layer := g.layer()
		g.model.apply(layer)
		layers = append(layers, layer)
	}
	return layers, g.model
}

func (g *generator) layer() []imagetest.Entry {
	g.entries, g.taken, g.needed = nil, map[string]byte{}, nil
	steps := []func(){g.file, g.file, g.dir, g.dir, g.symlink, g.whiteout, g.whiteout, g.opaque, g.remake, g.stray, g.link, g.foreignLink}
	for range 1 + g.IntN(10) {
		steps[g.IntN(len(steps))]()
	}
	if g.IntN(6) == 0 {
		g.entry(tar.TypeDir, "./")
	}
	// No meaning may hang on the order, but for a hardlink's target, which
	// stands before it.
	g.Shuffle(len(g.entries), func(i, j int) { g.entries[i], g.entries[j] = g.entries[j], g.entries[i] })
	slices.SortStableFunc(g.entries, func(a, b imagetest.Entry) int {
		return isLink(a) - isLink(b)
	})
	return g.entries
}

func isLink(e imagetest.Entry) int {
	if e.Typeflag == tar.TypeLink {
		return 1
	}
	return 0
}

// name is a path of few names, so that layers meet.
func (g *generator) name() string {
	parts := make([]string, 1+g.IntN(3))
	for i := range parts {
		parts[i] = string(rune('a' + g.IntN(4)))
	}
	return strings.Join(parts, "/")
}

// free reports whether this layer can give name the type without a
// contradiction: a tar cannot mean both a file and something below it.
func (g *generator) free(name string, typeflag byte) bool {
	if _, said := g.taken[name]; said {
		return false
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if t, said := g.taken[dir]; said && t != tar.TypeDir {
			return false
		}
	}
	if typeflag == tar.TypeDir {
		return true
	}
	for other := range g.taken {
		if below(other, name) {
			return false
		}
	}
	return true
}

func (g *generator) entry(typeflag byte, name string) *imagetest.Entry {
	g.count++
	e := imagetest.Entry{Header: tar.Header{
		Name: name, Typeflag: typeflag,
		Mode: []int64{0o644, 0o755, 0o1777, 0o4711, 0o600, 0o555}[g.IntN(6)],
		Uid:  g.IntN(3) * 500, Gid: g.IntN(3) * 7,
		ModTime: time.Unix(1_600_000_000+int64(g.count), 0),
	}}
	if typeflag != tar.TypeSymlink && g.IntN(5) == 0 {
		e.PAXRecords = map[string]string{"SCHILY.xattr.user.note": fmt.Sprint(g.count)}
	}
	g.entries = append(g.entries, e)
	return &g.entries[len(g.entries)-1]
}

func (g *generator) file() {
	if name := g.name(); g.free(name, tar.TypeReg) {
		g.taken[name] = tar.TypeReg
		g.entry(tar.TypeReg, name).Body = fmt.Sprintf("content %d", g.count)
	}
}

func (g *generator) dir() {
	if name := g.name(); g.free(name, tar.TypeDir) {
		g.taken[name] = tar.TypeDir
		g.entry(tar.TypeDir, name+"/")
	}
}

func (g *generator) symlink() {
	if name := g.name(); g.free(name, tar.TypeSymlink) {
		g.taken[name] = tar.TypeSymlink
		g.entry(tar.TypeSymlink, name).Linkname = "../" + g.name()
	}
}

// mark adds a whiteout or an opaque mark, unless that is a contradiction.
func (g *generator) mark(dir, base string) {
	hides := path.Join(dir, strings.TrimPrefix(base, ".wh."))
	if base == ".wh..wh..opq" {
		hides = dir
	}
	for _, target := range g.needed {
		if hides == "" || target == hides || below(target, hides) {
			return
		}
	}
	if !g.free(path.Join(dir, base), tar.TypeReg) {
		return
	}
	g.taken[path.Join(dir, base)] = tar.TypeReg
	e := g.entry(tar.TypeReg, path.Join(dir, base))
	e.PAXRecords = nil
}

// whiteout deletes something that is there.
func (g *generator) whiteout() {
	if name := g.existing(func(*inode) bool { return true }); name != "" {
		dir, base := split(name)
		g.mark(dir, ".wh."+base)
	}
}

// stray deletes what may not be there, in a directory that may not be there:
// a ghost, if it showed.
func (g *generator) stray() {
	dir, base := split(g.name())
	for p := dir; p != ""; p, _ = split(p) {
		if n := g.model.find(p); n != nil && !n.isDir() {
			return // below a file there is nothing that could be deleted
		}
	}
	g.mark(dir, ".wh."+base)
}

func (g *generator) opaque() {
	if g.IntN(8) == 0 {
		g.mark("", ".wh..wh..opq")
		return
	}
	if name := g.existing((*inode).isDir); name != "" {
		g.mark(name, ".wh..wh..opq")
	}
}

// remake deletes a directory and makes it again, with or without an entry of
// its own.
func (g *generator) remake() {
	name := g.existing((*inode).isDir)
	child := path.Join(name, "new")
	if name == "" || !g.free(name, tar.TypeDir) || !g.free(child, tar.TypeReg) {
		return
	}
	dir, base := split(name)
	g.mark(dir, ".wh."+base)
	g.taken[child] = tar.TypeReg
	g.entry(tar.TypeReg, child).Body = "made again"
	if g.IntN(2) == 0 {
		g.taken[name] = tar.TypeDir
		g.entry(tar.TypeDir, name+"/")
	}
}

// link gives a regular file of this layer another name.
func (g *generator) link() {
	var files []string
	for _, name := range slices.Sorted(maps.Keys(g.taken)) {
		if _, base := split(name); g.taken[name] == tar.TypeReg && !strings.HasPrefix(base, ".wh.") {
			files = append(files, name)
		}
	}
	name := g.name()
	if len(files) > 0 && g.free(name, tar.TypeLink) {
		g.taken[name] = tar.TypeLink
		g.entries = append(g.entries, imagetest.Hardlink(name, files[g.IntN(len(files))]))
	}
}

// foreignLink gives a file of a lower layer another name. Of a lower file
// that has several names already only this one would come to share the copy,
// so it takes those with one name.
func (g *generator) foreignLink() {
	target := g.existing(func(n *inode) bool { return n.typeflag == tar.TypeReg && g.names(n) == 1 })
	name := g.name()
	if target == "" || name == target || below(name, target) || below(target, name) || !g.free(name, tar.TypeLink) || !g.untouched(target) {
		return
	}
	g.taken[name] = tar.TypeLink
	g.taken[target] = tar.TypeReg // nothing more of this layer may touch it
	g.needed = append(g.needed, target)
	g.entries = append(g.entries, imagetest.Hardlink(name, target))
}

func below(name, dir string) bool { return strings.HasPrefix(name, dir+"/") }

// untouched reports whether nothing in this layer hides or changes name.
func (g *generator) untouched(name string) bool {
	for p := name; p != "."; p = path.Dir(p) {
		dir, base := split(p)
		if _, said := g.taken[path.Join(dir, ".wh."+base)]; said {
			return false
		}
		if _, said := g.taken[path.Join(p, ".wh..wh..opq")]; said {
			return false
		}
		if t, said := g.taken[p]; said && (p == name || t != tar.TypeDir) {
			return false
		}
	}
	for other := range g.taken {
		if below(other, name) {
			return false
		}
	}
	_, cut := g.taken[".wh..wh..opq"]
	return !cut
}

func (g *generator) names(wanted *inode) int {
	count := 0
	g.walk(func(_ string, n *inode) {
		if n == wanted {
			count++
		}
	})
	return count
}

// existing picks a path that the layers below made and that suits.
func (g *generator) existing(suits func(*inode) bool) string {
	var names []string
	g.walk(func(name string, n *inode) {
		if suits(n) {
			names = append(names, name)
		}
	})
	if len(names) == 0 {
		return ""
	}
	return names[g.IntN(len(names))]
}

func (g *generator) walk(visit func(string, *inode)) {
	var walk func(string, *inode)
	walk = func(dir string, n *inode) {
		for _, c := range slices.Sorted(maps.Keys(n.children)) {
			name := path.Join(dir, c)
			visit(name, n.children[c])
			walk(name, n.children[c])
		}
	}
	walk("", g.model.root)
}
