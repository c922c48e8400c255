// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/unpack"
)

type layers = [][]imagetest.Entry

// image makes the layers of an image, the lowest first, and counts how many
// are fetched.
func image(stack layers) (list []Layer, fetched *atomic.Int64) {
	fetched = new(atomic.Int64)
	for _, entries := range stack {
		blob := imagetest.Tar(entries...)
		l := manifest.Layer{
			Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(blob), Size: int64(len(blob))},
			DiffID:     digest.FromBytes(blob),
		}
		list = append(list, Layer{Layer: l, Fetch: func(_ context.Context, use func(io.Reader) error) error {
			fetched.Add(1)
			return use(bytes.NewReader(blob))
		}})
	}
	return list, fetched
}

func TestOpen(t *testing.T) {
	file, link, symlink, dir := imagetest.File, imagetest.Hardlink, imagetest.Symlink, imagetest.Dir
	long := imagetest.Noise(bufferMemory + 1<<20)
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
		{"a link that leads nowhere", layers{{symlink("l", "none")}}, "/l", "", ErrNoPath, 1},
		{"a loop", layers{{symlink("l", "l")}}, "/l", "", ErrNoPath, 1},
		{"another name", layers{{file("a", "there"), link("b", "a")}}, "/b", "there", nil, 2},
		{"another name of what was replaced", layers{{file("a", "first"), link("b", "a"), file("a", "other")}}, "/b", "first", nil, 2},
		{"another name of what was replaced by a file of its size", layers{{file("a", "first"), link("b", "a"), file("a", "other")}}, "/a", "other", nil, 1},
		{"an empty file's other name", layers{{file("a", ""), link("b", "a")}}, "/b", "", nil, 2},
		{"another name of a lower file", layers{{file("a", "lower")}, {file("x", "")}, {link("b", "a")}}, "/b", "lower", nil, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, fetched := image(c.layers)
			got, err := contentOf(t, list, c.path)
			if !errors.Is(err, c.err) {
				t.Fatalf("error = %v, want %v", err, c.err)
			}
			if got != c.want {
				t.Errorf("content = %.100q, want %.100q", got, c.want)
			}
			if n := int(fetched.Load()); n != c.fetch {
				t.Errorf("%d layers were fetched, want %d", n, c.fetch)
			}
		})
	}
}

func contentOf(t *testing.T, list []Layer, path string) (string, error) {
	t.Helper()
	f, err := Open(t.Context(), list, path, Options{})
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(f)
	return string(b), errors.Join(err, f.Close())
}

// tree is an image with something of each kind but a link that leads nowhere,
// which [fstest.TestFS] wants to open.
func tree() layers {
	file, link, symlink, dir := imagetest.File, imagetest.Hardlink, imagetest.Symlink, imagetest.Dir
	return layers{
		{dir("etc/", 0o755), file("etc/passwd", "root"), file("etc/gone", "x"), file("usr/bin/sh", "shell")},
		{file("etc/.wh.gone", ""), symlink("bin", "usr/bin"), symlink("etc/absolute", "/usr/bin/sh"), symlink("etc/above", "../../../bin/sh"), link("etc/same", "etc/passwd")},
		{{Header: tar.Header{Name: "fifo", Typeflag: tar.TypeFifo, Mode: 0o644}}, {Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666}}, file("not utf-8 \xff", "y"), dir("empty/", 0o700)},
	}
}

func TestFS(t *testing.T) {
	list, _ := image(tree())
	fsys, err := Read(t.Context(), list, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(fsys, "etc/passwd", "etc/same", "usr/bin/sh", "fifo", "null", "empty", "not utf-8 \xff", "etc/absolute"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"etc/passwd": "root", "bin/sh": "shell", "etc/absolute": "shell", "etc/above": "shell", "etc/same": "root", "null": ""} {
		if got, err := fs.ReadFile(fsys, name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"etc/gone", "none", "etc/passwd/x"} {
		if _, err := fsys.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want %v", name, err, fs.ErrNotExist)
		}
	}
	if target, err := fsys.ReadLink("etc/above"); err != nil || target != "../../../bin/sh" {
		t.Errorf("%q, %v", target, err)
	}
	if _, err := fsys.ReadLink("etc/passwd"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a file is read as a link: %v", err)
	}
	info, err := fsys.Stat("etc/same")
	if err != nil || info.Sys().(File).Names != 2 || info.Name() != "same" {
		t.Errorf("%v, %v", info, err)
	}
}

func TestWalk(t *testing.T) {
	list, fetched := image(tree())
	fsys, err := Read(t.Context(), list, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		got = append(got, path)
		return err
	})
	want := strings.Fields(". bin empty etc etc/above etc/absolute etc/passwd etc/same fifo not null usr usr/bin usr/bin/sh")
	want[slices.Index(want, "not")] = "not utf-8 \xff"
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if fetched.Load() != 3 {
		t.Errorf("fetched %d layers for a walk", fetched.Load())
	}
}

// The context of a later read is its own.
func TestWithContext(t *testing.T) {
	list, _ := image(tree())
	fsys, err := Read(t.Context(), list, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fs.ReadFile(fsys.WithContext(ctx), "etc/passwd"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if _, err := fs.ReadFile(fsys, "etc/passwd"); err != nil {
		t.Error(err)
	}
}

// Contents that do not have the digest are not given out.
func TestContentsAreVerified(t *testing.T) {
	list, _ := image(tree())
	fsys, err := Read(t.Context(), list, Options{})
	if err != nil {
		t.Fatal(err)
	}
	forged := imagetest.Tar(imagetest.File("etc/passwd", "evil"))
	for i := range fsys.reader.layers {
		fsys.reader.layers[i].Fetch = func(_ context.Context, use func(io.Reader) error) error { return use(bytes.NewReader(forged)) }
	}
	if got, err := fs.ReadFile(fsys, "etc/passwd"); !errors.Is(err, unpack.ErrMismatch) {
		t.Errorf("read %q, error %v, want %v", got, err, unpack.ErrMismatch)
	}
}

// Two files of one name, size and checksum: a mount shows the last, so the first must
// not be read in its place.
func TestFilesOfOneChecksum(t *testing.T) {
	one, other := collision()
	for _, c := range []struct {
		name          string
		first, second []byte
		want          error
	}{
		{"equal", one, one, nil},
		{"different", one, other, errkind.Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, _ := image(layers{{imagetest.File("a", string(c.first)), imagetest.File("a", string(c.second))}})
			fsys, err := Read(t.Context(), list, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := fs.ReadFile(fsys, "a")
			if !errors.Is(err, c.want) || err == nil && !bytes.Equal(got, c.second) {
				t.Errorf("got %q, %v, want %q, %v", got, err, c.second, c.want)
			}
		})
	}
}

// collision returns two contents of one length and one CRC-32C.
func collision() (one, other []byte) {
	table := crc32.MakeTable(crc32.Castagnoli)
	seen := map[uint32][]byte{}
	for i := uint64(0); ; i++ {
		b := []byte(digest.FromString(strconv.FormatUint(i, 10)).Encoded())
		sum := crc32.Checksum(b, table)
		if seen[sum] != nil {
			return seen[sum], b
		}
		seen[sum] = b
	}
}
