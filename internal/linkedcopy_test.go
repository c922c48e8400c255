// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/internal/linkedcopy"
	"github.com/layerctl/layerctl/layer"
)

// tree is what a directory holds: a path to "dir", "opaque", "whiteout",
// "link TARGET", "symlink TARGET", "fifo" or "file CONTENT". After " @N" stands the mode
// of a directory.
type tree map[string]string

func (tr tree) make(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	paths := slices.Sorted(maps.Keys(tr))
	for _, p := range paths {
		at := filepath.Join(dir, p)
		what, _, _ := strings.Cut(tr[p], " @")
		kind, rest, _ := strings.Cut(what, " ")
		var err error
		switch kind {
		case "dir", "opaque":
			if p != "." {
				err = os.Mkdir(at, 0o755)
			}
			if err == nil && kind == "opaque" {
				err = unix.Lsetxattr(at, "trusted.overlay.opaque", []byte("y"), 0)
			}
		case "whiteout":
			err = unix.Mknod(at, unix.S_IFCHR, 0)
		case "link":
			err = os.Link(filepath.Join(dir, rest), at)
		case "symlink":
			err = os.Symlink(rest, at)
		case "fifo":
			err = unix.Mkfifo(at, 0o640)
		case "file":
			err = os.WriteFile(at, []byte(rest), 0o644)
		default:
			err = fmt.Errorf("what is %q?", kind)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range slices.Backward(paths) {
		at := filepath.Join(dir, p)
		var mode uint32
		if _, m, ok := strings.Cut(tr[p], " @"); ok {
			if _, err := fmt.Sscanf(m, "%o", &mode); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Chown(at, int(mode), 7), unix.Chmod(at, mode)); err != nil {
				t.Fatal(err)
			}
		}
		when := []unix.Timespec{{Sec: 1, Nsec: 1}, unix.NsecToTimespec(int64(1000+i)*1e9 + int64(mode))}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, at, when, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func openTree(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := durable.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// seen is all that a tree shows, a line a path. Inodes tell names of one file.
func seen(t *testing.T, dir string) string {
	t.Helper()
	root, err := durable.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	first := map[uint64]string{}
	var lines []string
	err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p, _ := filepath.Rel(dir, at)
		f, err := fsat.Find(root, p)
		if err != nil {
			return err
		}
		defer f.Close()
		a, st, err := fsat.ReadAttributes(f, nil)
		if err != nil {
			return err
		}
		what := ""
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			b, _ := os.ReadFile(at)
			what = string(b)
		case unix.S_IFLNK:
			what, _ = os.Readlink(at)
		}
		if !d.IsDir() && first[st.Ino] == "" {
			first[st.Ino] = p
		}
		lines = append(lines, fmt.Sprintf("%s %o %d:%d %v %q %q = %s", p, st.Mode, st.Uid, st.Gid, time.Unix(st.Mtim.Unix()).UTC(), a.Xattrs, what, first[st.Ino]))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// mounted is what an overlay of these directories shows, the topmost first.
func mounted(t *testing.T, dirs ...string) string {
	t.Helper()
	at := filepath.Join(filepath.Dir(dirs[0]), "mounted")
	empty := filepath.Join(filepath.Dir(dirs[0]), "empty")
	for _, dir := range []string{at, empty} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("overlay", at, "overlay", 0, "lowerdir="+strings.Join(append(dirs, empty), ":")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	}()
	return seen(t, at)
}

var anyTree = tree{
	".": "dir @711", "a": "dir @750", "a/f": "file one", "a/g": "link a/f", "a/opaque": "opaque @1777", "a/opaque/x": "file two",
	"b": "dir @0", "b/link": "link a/f", "fifo": "fifo", "s": "symlink a/f", "s2": "link s",
}

// anotherFilesystem is a directory with a filesystem of its own.
func anotherFilesystem(t *testing.T) string {
	t.Helper()
	layertest.NeedsMount(t)
	at := t.TempDir()
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	return at
}

func TestFill(t *testing.T) {
	layertest.NeedsRoot(t, "to set owners and trusted attributes")
	for _, c := range []struct {
		name    string
		options linkedcopy.Options
		other   bool // on another filesystem
		want    linkedcopy.Done
		reason  error
	}{
		{"links", linkedcopy.Options{}, false, linkedcopy.Done{Directories: 4, Links: 7}, nil},
		{"copies", linkedcopy.Options{Unlinked: true, Uncloned: true}, false, linkedcopy.Done{Directories: 4, Copies: 4, Bytes: 6}, nil},
		{"another filesystem", linkedcopy.Options{}, true, linkedcopy.Done{Directories: 4, Copies: 4, Bytes: 6}, unix.EXDEV},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := layertest.MemoryDir(t)
			from := anyTree.make(t, filepath.Join(dir, "from"))
			to := dir
			if c.other {
				to = anotherFilesystem(t)
			}
			to = tree{}.make(t, filepath.Join(to, "to"))
			copier := linkedcopy.New(c.options)
			if err := copier.Fill(t.Context(), openTree(t, to), linkedcopy.Layer{From: openTree(t, from)}); err != nil {
				t.Fatal(err)
			}
			if got, want := seen(t, to), seen(t, from); got != want {
				t.Errorf("the copy has\n%s\nand the layer\n%s", got, want)
			}
			done := copier.Done()
			if !errors.Is(done.Reason, c.reason) || (c.reason == nil) != (done.Reason == nil) {
				t.Errorf("reason %v, want %v", done.Reason, c.reason)
			}
			if done.Reason = nil; done != c.want {
				t.Errorf("done %+v, want %+v", done, c.want)
			}
		})
	}
}

func TestFillUnderAFixLayer(t *testing.T) {
	layertest.NeedsMount(t)
	for _, c := range []struct {
		name              string
		fix, layer, below tree
		absent            []string // from the copy
	}{
		{"attributes of an implied directory",
			tree{".": "dir @755", "a": "dir @700"}, tree{"a": "dir @755", "a/f": "file x"}, tree{"a": "dir @700", "a/g": "file y"}, nil},
		{"attributes of the root alone",
			tree{".": "dir @711"}, tree{".": "dir @755", "f": "file x"}, tree{"g": "file y"}, nil},
		{"a file instead of another one",
			tree{"a": "dir", "a/f": "file new"}, tree{"a": "dir", "a/f": "file old", "a/h": "file x"}, tree{"a": "dir", "a/g": "file y"}, nil},
		{"a directory of the layer's is opaque",
			tree{"a": "dir @700"}, tree{"a": "opaque @755", "a/f": "file x"}, tree{"a": "dir", "a/g": "file y"}, nil},
		{"a directory over a whiteout",
			tree{"a": "dir @700", "a/f": "file x"}, tree{"a": "whiteout"}, tree{"a": "dir", "a/g": "file y"}, nil},
		{"a directory over a file",
			tree{"a": "dir @700", "a/f": "file x"}, tree{"a": "file z"}, tree{"a": "dir", "a/g": "file y"}, nil},
		{"a whiteout over a directory that only has whiteouts",
			tree{"b": "dir", "b/a": "whiteout"}, tree{"b": "dir", "b/a": "dir", "b/a/f": "whiteout"}, tree{"b": "dir", "b/g": "file y"}, nil},
		{"the same where nothing below has its parent",
			tree{"b": "dir", "b/a": "whiteout"}, tree{"b": "dir", "b/a": "dir", "b/a/f": "whiteout"}, tree{}, []string{"b/a"}},
		{"a whiteout that hides nothing",
			tree{"a": "dir"}, tree{"a": "dir", "a/f": "whiteout", "a/g": "file x"}, tree{}, []string{"a/f"}},
		{"a whiteout in an opaque directory",
			tree{"a": "dir", "a/b": "dir"}, tree{"a": "opaque", "a/b": "dir", "a/b/f": "whiteout"}, tree{"a": "dir", "a/b": "dir", "a/b/f": "file x"}, []string{"a/b/f"}},
		{"a whiteout that hides something",
			tree{"a": "dir"}, tree{"a": "dir", "a/f": "whiteout"}, tree{"a": "dir", "a/f": "file x"}, nil},
		{"new names of a foreign link",
			tree{"a": "file x", "b": "link a"}, tree{"c": "file y"}, tree{"a": "file x"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := layertest.MemoryDir(t)
			fix, layer := c.fix.make(t, filepath.Join(dir, "fix")), c.layer.make(t, filepath.Join(dir, "layer"))
			below := c.below.make(t, filepath.Join(dir, "below"))
			want := mounted(t, fix, layer, below)
			err := linkedcopy.New(linkedcopy.Options{}).Fill(t.Context(), openTree(t, fix), linkedcopy.Layer{From: openTree(t, layer), Below: []*os.File{openTree(t, below)}, Mended: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := mounted(t, fix, below); got != want {
				t.Errorf("the copy shows\n%s\nand the stack\n%s", got, want)
			}
			for _, p := range c.absent {
				if _, err := os.Lstat(filepath.Join(fix, p)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", p, err)
				}
			}
		})
	}
}

// TestCover: what a layer with an opaque root does not have is hidden, also
// what lies in its directories.
func TestCover(t *testing.T) {
	layertest.NeedsMount(t)
	dir := layertest.MemoryDir(t)
	layer := tree{".": "dir @711", "a": "dir @700", "a/f": "file x", "g": "file x", "w": "whiteout"}.make(t, filepath.Join(dir, "layer"))
	lower := tree{"a": "dir", "a/h": "file y", "b": "dir", "g": "file y", "w": "file y"}.make(t, filepath.Join(dir, "lower"))
	lowest := tree{"b": "whiteout", "c": "file y"}.make(t, filepath.Join(dir, "lowest"))
	want := mounted(t, layer)
	want = strings.Join(slices.DeleteFunc(strings.Split(want, "\n"), func(l string) bool { return strings.HasPrefix(l, "w ") }), "\n")
	to := tree{}.make(t, filepath.Join(dir, "to"))
	copier := linkedcopy.New(linkedcopy.Options{})
	l := linkedcopy.Layer{From: openTree(t, layer), Below: []*os.File{openTree(t, lower), openTree(t, lowest)}}
	if err := copier.Cover(t.Context(), openTree(t, to), l); err != nil {
		t.Fatal(err)
	}
	if err := copier.Fill(t.Context(), openTree(t, to), l); err != nil {
		t.Fatal(err)
	}
	if got := mounted(t, to, lower, lowest); got != want {
		t.Errorf("the copy shows\n%s\nand the layer alone\n%s", got, want)
	}
}

// TestFormOfUsers: marks are read and set as the store of a user has them.
func TestFormOfUsers(t *testing.T) {
	layertest.NeedsRoot(t, "to set owners")
	const mark = "user.overlay.opaque"
	dir := t.TempDir()
	fix := tree{"a": "dir @700"}.make(t, filepath.Join(dir, "fix"))
	from := tree{"a": "dir @755", "a/f": "file x"}.make(t, filepath.Join(dir, "layer"))
	if err := unix.Lsetxattr(filepath.Join(from, "a"), mark, []byte("y"), 0); err != nil {
		t.Fatal(err)
	}
	copier := linkedcopy.New(linkedcopy.Options{Form: layer.Form{Xattrs: layer.UserXattrs}})
	if err := copier.Fill(t.Context(), openTree(t, fix), linkedcopy.Layer{From: openTree(t, from), Mended: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Lgetxattr(filepath.Join(fix, "a"), mark, make([]byte, 1)); err != nil {
		t.Errorf("%s: %v", mark, err)
	}
}
