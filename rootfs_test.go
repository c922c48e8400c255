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
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/rootfs"
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

func contentOf(t *testing.T, client *Client, ref, path string, o RootFSOptions) (string, error) {
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
	for seed := range stacks() / 6 {
		stack, model := stack(seed)
		ref := looked(t, s.inspected, stack)
		lookAtAll(t, s.client, ref, RootFSOptions{}, model, seed)
		if os.Geteuid() != 0 {
			continue // a store of others may not be able to open what it has
		}
		s.pull(t, ref)
		lookAtAll(t, s.client, ref, RootFSOptions{Store: s.store}, model, seed)
		if asked := s.Requests(); slices.ContainsFunc(asked, func(r string) bool { return !strings.HasPrefix(r, "HEAD manifests/") }) {
			t.Errorf("seed %d: of an image in the store %q was asked", seed, asked)
		}
		lookAtAll(t, s.offline(), ref, RootFSOptions{Store: s.store}, model, seed)
		if asked := s.Requests(); len(asked) != 0 {
			t.Errorf("seed %d: offline %q was asked", seed, asked)
		}
	}
}

func lookAtAll(t *testing.T, client *Client, ref string, o RootFSOptions, want *model, seed uint64) {
	t.Helper()
	view, err := client.RootFS(t.Context(), ref, o)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	root, err := view.Lookup("/", true)
	if err != nil {
		t.Fatal(err)
	}
	files := append([]rootfs.File{root}, slices.Collect(view.Below("/"))...)
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
	view, err := s.client.RootFS(t.Context(), ref, RootFSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := view.Lookup("/bin", true)
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
	if link, err := view.Lookup("bin", false); err != nil || link.Target != "usr/bin" || link.Mode.Type() != fs.ModeSymlink {
		t.Errorf("the link is %+v, %v", link, err)
	}
	if _, err := view.Lookup("/none", true); !errors.Is(err, rootfs.ErrNoPath) {
		t.Errorf("error = %v, want rootfs.ErrNoPath", err)
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
	f, err := mount.Open(layer.Entry{Path: "a", Type: layer.Regular})
	if err != nil {
		t.Fatal(err)
	}
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.(*os.File).Fd()))
	if err = errors.Join(err, f.Close(), mount.Close()); err != nil {
		t.Fatal(err)
	}
	writeFile(t, name, []byte("content of A file"))
	if _, err := contentOf(t, s.client, ref, "/a", RootFSOptions{Store: s.store}); !errors.Is(err, overlaystore.ErrDamaged) {
		t.Errorf("error = %v, want ErrDamaged", err)
	}
	// More than anybody would wait for: it must not be read.
	if err := os.Truncate(name, 1<<42); err != nil {
		t.Fatal(err)
	}
	if _, err := contentOf(t, s.client, ref, "/a", RootFSOptions{Store: s.store}); !errors.Is(err, overlaystore.ErrDamaged) {
		t.Errorf("of one that has grown: error = %v, want ErrDamaged", err)
	}
	wrong := s.layout.Blob("application/vnd.oci.image.layer.v1.tar+gzip", imagetest.Gzip(imagetest.Tar(stack[0]...)))
	config := ocispec.Image{Platform: linuxARMv7, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString("another")}}}
	ref = serveBy(s.inspected, s.layout.Manifest(config, wrong))
	if _, err := contentOf(t, s.client, ref, "/a", RootFSOptions{}); !errors.Is(err, unpack.ErrMismatch) {
		t.Errorf("of another diffID: error = %v, want ErrMismatch", err)
	}
}

func TestRootFSLimits(t *testing.T) {
	s := newInspected(t, Options{})
	ref := looked(t, s, layers{{imagetest.File("a/b", "")}, {imagetest.File("a/c", "")}})
	for want, o := range map[error]Options{
		stackview.ErrLimit: {Memory: 1000},
		unpack.ErrLimit:    {Limits: unpack.Limits{Entries: 1}},
	} {
		o.Registry, o.Platform = s.client.options.Registry, "linux/arm/v7"
		if _, err := New(o).RootFS(t.Context(), ref, RootFSOptions{}); !errors.Is(err, want) {
			t.Errorf("error = %v, want %v", err, want)
		}
	}
}
