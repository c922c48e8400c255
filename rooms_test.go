// SPDX-License-Identifier: Apache-2.0

package layerctl_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
)

// room is one package as its files tell it.
type room struct {
	dir      string
	files    int
	lines    int // without tests
	exported []export
	long     []string // functions of more than 40 lines, with their length
	example  bool     // a test from outside has one that runs
}

// export is an exported name. A method stands as Type.Method.
type export struct {
	name     string
	pos      token.Position
	mentions []string // names of the same room that its declaration mentions
	types    []string // of a constant: its type
}

// uses are the names that the other rooms, tests in them and examples take.
type uses struct {
	qualified map[string]map[string]bool // directory of a room to names taken as pkg.Name
	selected  map[string]map[string]bool // name after any dot to the directories it stands in
}

// TestRooms holds the rules of the house that a compiler does not: no package
// over 3,000 lines, the root at most 1,200, no exported name that no other
// package and no example uses, no public package without an example that go test
// runs. With -v it prints the table.
func TestRooms(t *testing.T) {
	t.Parallel()
	rooms, used := survey(t)
	table(t, rooms)
	for _, r := range rooms {
		most := 3000
		if r.dir == "." {
			most = 1200
		}
		if r.lines > most {
			t.Errorf("%s has %d lines without its tests, more than %d", r.dir, r.lines, most)
		}
		if r.public() && !r.example {
			t.Errorf("%s has no example that runs", r.dir)
		}
		if r.dir == "cmd/layerctl" || strings.HasSuffix(r.dir, "test") {
			continue
		}
		for _, e := range unused(r, used) {
			t.Errorf("%s: %s is exported, and no other package or example uses it", e.pos, e.name)
		}
	}
}

// parsed is a Go file of the house.
type parsed struct {
	path string
	text []byte
	file *ast.File
}

// sources are all Go files, and those of the modules below: read once, for all
// that is asked of them.
var sources = sync.OnceValues(func() ([]*parsed, error) {
	var all []*parsed
	var parsing errgroup.Group
	parsing.SetLimit(2)
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && p != ".") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		one := &parsed{path: p}
		all = append(all, one)
		parsing.Go(one.read)
		return nil
	})
	return all, errors.Join(err, parsing.Wait())
})

// read reads a file. Only the comments of tests say something: what an example
// prints.
func (s *parsed) read() (err error) {
	if s.text, err = os.ReadFile(s.path); err != nil {
		return err
	}
	mode := parser.SkipObjectResolution
	if strings.HasSuffix(s.path, "_test.go") {
		mode |= parser.ParseComments
	}
	s.file, err = parser.ParseFile(positions, s.path, s.text, mode)
	return err
}

// positions are those of sources.
var positions = token.NewFileSet()

// walkSource visits all sources.
func walkSource(t *testing.T, visit func(*parsed)) {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		visit(s)
	}
}

func survey(t *testing.T) ([]*room, uses) {
	t.Helper()
	byDir := map[string]*room{}
	used := uses{map[string]map[string]bool{}, map[string]map[string]bool{}}
	examples := map[string]bool{}
	walkSource(t, func(s *parsed) {
		p, file := s.path, s.file
		dir := filepath.ToSlash(filepath.Dir(p))
		outside := strings.HasSuffix(file.Name.Name, "_test")
		used.take(file, dir, outside)
		if strings.HasSuffix(p, "_test.go") || strings.HasPrefix(dir, "test/") {
			engine := strings.HasPrefix(dir, "engine/") // nothing runs where there is no engine
			shows := func(e *doc.Example) bool { return engine || e.Output != "" || e.EmptyOutput }
			examples[dir] = examples[dir] || outside && slices.ContainsFunc(doc.Examples(file), shows)
			return
		}
		r := byDir[dir]
		if r == nil {
			r = &room{dir: dir}
			byDir[dir] = r
		}
		r.files++
		r.lines += bytes.Count(s.text, []byte("\n"))
		r.add(positions, file)
	})
	var rooms []*room
	for _, r := range byDir {
		r.example = examples[r.dir]
		rooms = append(rooms, r)
	}
	slices.SortFunc(rooms, func(a, b *room) int { return cmp.Compare(a.dir, b.dir) })
	return rooms, used
}

// public says whether other modules can import a room.
func (r *room) public() bool {
	return !strings.HasPrefix(r.dir, "cmd/") && !strings.HasPrefix(r.dir, "bench") && !slices.Contains(strings.Split(r.dir, "/"), "internal")
}

// add counts what a file of the room declares.
func (r *room) add(fset *token.FileSet, file *ast.File) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if lines := fset.Position(d.End()).Line - fset.Position(d.Pos()).Line + 1; lines > 40 {
				r.long = append(r.long, fmt.Sprintf("%s.%s (%d)", r.dir, d.Name.Name, lines))
			}
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			if d.Name.IsExported() && ast.IsExported(name) {
				r.exported = append(r.exported, export{name: name, pos: fset.Position(d.Pos()), mentions: mentionedIn(d.Type)})
			}
		case *ast.GenDecl:
			first := len(r.exported)
			for _, spec := range d.Specs {
				r.addSpec(fset, spec)
			}
			if d.Tok == token.CONST {
				enumerate(r.exported[first:])
			}
		}
	}
}

// enumerate makes constants of one declaration mention each other: whoever uses
// one value of an enumeration, or its type, may meet the others.
func enumerate(consts []export) {
	for i := range consts {
		consts[i].types = consts[0].mentions
		for _, other := range consts {
			consts[i].mentions = append(consts[i].mentions, other.name)
		}
	}
}

func (r *room) addSpec(fset *token.FileSet, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			r.exported = append(r.exported, export{name: s.Name.Name, pos: fset.Position(s.Pos()), mentions: mentionedIn(s.Type)})
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() {
				r.exported = append(r.exported, export{name: n.Name, pos: fset.Position(n.Pos()), mentions: mentionedIn(s.Type)})
			}
		}
	}
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

// mentionedIn lists the exported names of the same package in a type.
func mentionedIn(node ast.Node) []string {
	if e, ok := node.(ast.Expr); node == nil || ok && e == nil {
		return nil
	}
	var names []string
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			return false
		case *ast.Ident:
			if n.IsExported() {
				names = append(names, n.Name)
			}
		}
		return true
	})
	return names
}

// take notes what a file uses of other rooms. An external test of a room, such
// as an example, counts as another room.
func (u uses) take(file *ast.File, dir string, outside bool) {
	rooms := map[string]string{} // name in the file to directory
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		rel, ours := strings.CutPrefix(imported, "github.com/layerctl/layerctl")
		if !ours {
			continue
		}
		rel = cmp.Or(strings.TrimPrefix(rel, "/"), ".")
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		rooms[name] = rel
	}
	from := dir
	if outside {
		from += "_test"
	}
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		put(u.selected, s.Sel.Name, from)
		if x, ok := s.X.(*ast.Ident); ok && rooms[x.Name] != "" {
			put(u.qualified, rooms[x.Name], s.Sel.Name)
		}
		return true
	})
}

func put(m map[string]map[string]bool, key, value string) {
	if m[key] == nil {
		m[key] = map[string]bool{}
	}
	m[key][value] = true
}

// awaited are names that no other room uses yet, by the room and the beginning
// of the name.
var awaited = map[string]string{
	"internal/inflate": "Checkpoint ErrCheckpoint Reader.PauseAt Reader.Checkpoint Reader.Resume", // for pulls that outlive the process
}

// wellKnown are methods that the standard library calls through an interface.
var wellKnown = map[string]bool{
	"Error": true, "Unwrap": true, "Is": true, "As": true, "String": true, "Read": true, "Write": true, "Close": true,
	"ReadAt": true, "Seek": true, "Len": true, "Less": true, "Swap": true, "MarshalText": true, "UnmarshalText": true,
	"MarshalJSON": true, "UnmarshalJSON": true, "Open": true, "Stat": true, "ReadDir": true, "ReadFile": true, "ReadLink": true,
	"Lstat": true, "Name": true, "Size": true, "Mode": true, "ModTime": true, "IsDir": true, "Sys": true, "Type": true, "Info": true,
	"RoundTrip": true, "ReadByte": true, "WriteTo": true, "Timeout": true, "Temporary": true, "LogValue": true, "Format": true,
}

// unused lists what nobody outside a room uses. A type that stands in the
// declaration of a name that is used is used too.
func unused(r *room, u uses) []export {
	used := map[string]bool{}
	for _, e := range r.exported {
		_, method, isMethod := strings.Cut(e.name, ".")
		switch {
		case !isMethod:
			used[e.name] = u.qualified[r.dir][e.name]
		case wellKnown[method]:
			used[e.name] = true
		default:
			for from := range u.selected[method] {
				used[e.name] = used[e.name] || from != r.dir
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for _, e := range r.exported {
			for _, name := range e.types {
				used[e.name] = used[e.name] || used[name]
			}
			if !used[e.name] {
				continue
			}
			for _, name := range e.mentions {
				if !used[name] {
					used[name], changed = true, true
				}
			}
		}
	}
	var left []export
	for _, e := range r.exported {
		holder, _, _ := strings.Cut(e.name, ".")
		waits := slices.Contains(strings.Fields(awaited[r.dir]), e.name) || slices.Contains(strings.Fields(awaited[r.dir]), holder)
		if !used[e.name] && !waits {
			left = append(left, e)
		}
	}
	return left
}

func table(t *testing.T, rooms []*room) {
	t.Helper()
	var long []string
	var lines, files, names []int
	for _, r := range rooms {
		t.Logf("%-40s %2d files %5d lines %3d exported names", r.dir, r.files, r.lines, len(r.exported))
		long = append(long, r.long...)
		lines, files, names = append(lines, r.lines), append(files, r.files), append(names, len(r.exported))
	}
	spread := func(n []int) string {
		slices.Sort(n)
		return fmt.Sprintf("median %d, largest %d", n[len(n)/2], n[len(n)-1])
	}
	t.Logf("%d packages; lines: %s; files: %s; exported names: %s", len(rooms), spread(lines), spread(files), spread(names))
	t.Logf("%d functions over 40 lines: %s", len(long), strings.Join(long, ", "))
}
