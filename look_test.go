// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

type layers = [][]imagetest.Entry

// looked is an image of layers, the lowest first, in a registry.
func looked(t *testing.T, s *inspected, stack layers) (ref string) {
	t.Helper()
	var tars [][]byte
	for _, entries := range stack {
		tars = append(tars, imagetest.Tar(entries...))
	}
	return serveBy(s, s.layout.Image(linuxARMv7, tars...))
}

// serveBy is a reference by digest: the layout may hold several images.
func serveBy(s *inspected, desc ocispec.Descriptor) string {
	return s.serve(desc) + "@" + desc.Digest.String()
}

// fetched counts the layers that were asked for since the last time.
func fetched(s *inspected) int {
	n := -1 // the config
	for _, r := range s.Requests() {
		if strings.HasPrefix(r, "GET blobs/") {
			n++
		}
	}
	return n
}

func TestOpenFile(t *testing.T) {
	file, link, symlink, dir := imagetest.File, imagetest.Hardlink, imagetest.Symlink, imagetest.Dir
	long := imagetest.Noise(spoolMemory + 1<<20)
	for _, c := range []struct {
		name   string
		layers layers // the lowest first
		path   string
		want   string // content, or
		err    error
		fetch  int // that are fetched
	}{
		{"in the topmost layer", layers{{file("a", "old")}, {file("a", "new")}}, "/a", "new", nil, 1},
		{"in the lowest", layers{{file("d/a", "old")}, {file("d/b", "")}}, "/d/a", "old", nil, 2},
		{"empty", layers{{file("a", "")}}, "a", "", nil, 1},
		{"larger than what is kept in memory", layers{{file("a", long)}}, "/a", long, nil, 1},
		{"the last of two in one layer", layers{{file("a", long), file("a", "second")}}, "/a", "second", nil, 1},
		{"deleted", layers{{file("d/a", "old")}, {}, {dir("d/", 0o755), file("d/.wh.a", "")}}, "/d/a", "", ErrNoPath, 1},
		{"in an opaque directory", layers{{file("d/a", "old")}, {file("d/.wh..wh..opq", "")}}, "/d/a", "", ErrNoPath, 1},
		{"nowhere", layers{{file("a", "")}, {file("b", "")}}, "/c", "", ErrNoPath, 2},
		{"below a file", layers{{file("a/b", "")}, {file("a", "")}}, "/a/b", "", ErrNoPath, 1},
		{"a directory", layers{{}, {dir("d/", 0o755)}}, "/d", "", ErrDirectory, 1},
		{"the root", layers{{}, {file("a", "")}}, "/", "", ErrDirectory, 1},
		{"a FIFO", layers{{{Header: tar.Header{Name: "p", Typeflag: tar.TypeFifo}}}}, "/p", "", ErrNotRegular, 1},
		{"a file with a slash", layers{{file("a", "")}}, "/a/", "", ErrNoPath, 1},
		{"a symlink before its target", layers{{symlink("a", "usr/a"), file("usr/a", "there")}}, "/a", "there", nil, 1},
		{"a symlink behind its target", layers{{file("usr/a", "there"), symlink("z", "/usr/a")}}, "/z", "there", nil, 2},
		{"a symlink to a layer above", layers{{symlink("bin", "usr/bin")}, {file("usr/bin/sh", "shell")}}, "/bin/sh", "shell", nil, 3},
		{"out of the root and back", layers{{file("a", "there")}}, "/../../x/../a", "", ErrNoPath, 1},
		{"through the root's parent", layers{{file("a", "there"), symlink("l", "../../../a")}}, "/../l", "there", nil, 2},
		{"a loop", layers{{symlink("l", "l")}}, "/l", "", ErrNoPath, 1},
		{"another name", layers{{file("a", "there"), link("b", "a")}}, "/b", "there", nil, 2},
		{"another name of what was replaced", layers{{file("a", "first"), link("b", "a"), file("a", "other")}}, "/b", "first", nil, 2},
		{"another name of a lower file", layers{{file("a", "lower")}, {file("x", "")}, {link("b", "a")}}, "/b", "lower", nil, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newInspected(t, Options{})
			ref := looked(t, s, c.layers)
			got, err := contentOf(t, s.client, ref, c.path, LookOptions{})
			if !errors.Is(err, c.err) {
				t.Fatalf("error = %v, want %v", err, c.err)
			}
			if got != c.want {
				t.Errorf("content = %.100q, want %.100q", got, c.want)
			}
			if n := fetched(s); n != c.fetch {
				t.Errorf("%d layers were fetched, want %d", n, c.fetch)
			}
		})
	}
}

func contentOf(t *testing.T, client *Client, ref, path string, o LookOptions) (string, error) {
	t.Helper()
	f, err := client.OpenFile(t.Context(), ref, path, o)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(f)
	return string(b), errors.Join(err, f.Close())
}

// TestLookIsLikeTheModel looks into random stacks, in a registry and in a store,
// and compares every path and every content.
func TestLookIsLikeTheModel(t *testing.T) {
	s := newCached(t, Options{})
	for seed := range uint64(25) {
		stack, model := stack(seed)
		ref := looked(t, s.inspected, stack)
		lookAtAll(t, s.client, ref, LookOptions{}, model, seed)
		if os.Geteuid() != 0 {
			continue // a store of others may not be able to open what it has
		}
		s.pull(t, ref)
		lookAtAll(t, s.client, ref, LookOptions{Store: s.store}, model, seed)
		if asked := s.Requests(); slices.ContainsFunc(asked, func(r string) bool { return !strings.HasPrefix(r, "HEAD manifests/") }) {
			t.Errorf("seed %d: of an image in the store %q was asked", seed, asked)
		}
		lookAtAll(t, s.offline(), ref, LookOptions{Store: s.store}, model, seed)
		if asked := s.Requests(); len(asked) != 0 {
			t.Errorf("seed %d: offline %q was asked", seed, asked)
		}
	}
}

func lookAtAll(t *testing.T, client *Client, ref string, o LookOptions, want *model, seed uint64) {
	t.Helper()
	view, err := client.View(t.Context(), ref, o)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	root, err := view.Stat("/", true)
	if err != nil {
		t.Fatal(err)
	}
	files := append([]File{root}, slices.Collect(view.Below("/"))...)
	var lines []string
	for _, f := range files {
		n := &inode{typeflag: typeOf(f.Mode), uid: int(f.UID), gid: int(f.GID), modTime: f.ModTime, xattrs: f.Xattrs, content: f.Target}
		n.mode = int64(f.Mode.Perm())
		for bit, m := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
			if f.Mode&m != 0 {
				n.mode |= bit
			}
		}
		if n.typeflag == tar.TypeReg {
			if n.content, err = contentOf(t, client, ref, f.Path, o); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		lines = append(lines, describeLine(strings.TrimPrefix(f.Path, "/"), n))
	}
	lines[0] = "." + lines[0]
	var wanted []string
	for _, line := range want.listing() {
		if !strings.HasPrefix(line, "same file: ") {
			wanted = append(wanted, line)
		}
	}
	if diff := compare(lines, wanted); diff != "" {
		t.Errorf("seed %d: %+v shows something else:\n%s", seed, o, diff)
	}
}

func typeOf(mode fs.FileMode) byte {
	return map[fs.FileMode]byte{0: tar.TypeReg, fs.ModeDir: tar.TypeDir, fs.ModeSymlink: tar.TypeSymlink}[mode.Type()]
}

func TestViewIn(t *testing.T) {
	s := newInspected(t, Options{})
	ref := looked(t, s, layers{{imagetest.File("usr/bin/sh", "x"), imagetest.File("usr/bin/a/b", ""), imagetest.Symlink("bin", "usr/bin")}})
	view, err := s.client.View(t.Context(), ref, LookOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := view.Stat("/bin", true)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for f := range view.In(dir.Path) {
		got = append(got, f.Path)
	}
	for f := range view.Below(dir.Path) {
		got = append(got, f.Path)
	}
	want := []string{"/usr/bin/a", "/usr/bin/sh", "/usr/bin/a", "/usr/bin/a/b", "/usr/bin/sh"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if link, err := view.Stat("bin", false); err != nil || link.Target != "usr/bin" || link.Mode.Type() != fs.ModeSymlink {
		t.Errorf("the link is %+v, %v", link, err)
	}
	if _, err := view.Stat("/none", true); !errors.Is(err, ErrNoPath) {
		t.Errorf("error = %v, want ErrNoPath", err)
	}
}

// What is damaged must not be given out.
func TestOpenFileVerifies(t *testing.T) {
	s := newCached(t, Options{})
	stack := layers{{imagetest.File("a", "content of a file")}}
	ref := looked(t, s.inspected, stack)
	pulled, _ := s.pull(t, ref)
	mount, err := s.store.OpenLayer(pulled.Image.Layers[0])
	if err != nil {
		t.Fatal(err)
	}
	f, err := mount.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err = errors.Join(err, f.Close(), mount.Close()); err != nil {
		t.Fatal(err)
	}
	writeFile(t, name, []byte("content of A file"))
	if _, err := contentOf(t, s.client, ref, "/a", LookOptions{Store: s.store}); !errors.Is(err, overlaystore.ErrDamaged) {
		t.Errorf("error = %v, want ErrDamaged", err)
	}
	wrong := s.layout.Blob("application/vnd.oci.image.layer.v1.tar+gzip", imagetest.Gzip(imagetest.Tar(stack[0]...)))
	config := ocispec.Image{Platform: linuxARMv7, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString("another")}}}
	ref = serveBy(s.inspected, s.layout.Manifest(config, wrong))
	if _, err := contentOf(t, s.client, ref, "/a", LookOptions{}); !errors.Is(err, unpack.ErrMismatch) {
		t.Errorf("of another diffID: error = %v, want ErrMismatch", err)
	}
}

func TestLookLimits(t *testing.T) {
	s := newInspected(t, Options{})
	ref := looked(t, s, layers{{imagetest.File("a/b", "")}, {imagetest.File("a/c", "")}})
	for want, o := range map[error]LookOptions{
		ErrLimit:        {Memory: 1000},
		unpack.ErrLimit: {Limits: unpack.Limits{Entries: 1}},
	} {
		if _, err := s.client.View(t.Context(), ref, o); !errors.Is(err, want) {
			t.Errorf("error = %v, want %v", err, want)
		}
	}
}
