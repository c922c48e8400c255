// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/registry/internal/failure"
)

// hello is the test image of the repository.
const hello = "../../../testdata/images/hello"

// archiveOf packs a layout into a file.
func archiveOf(t *testing.T, dir string) string {
	t.Helper()
	return writeFile(t, "image.tar", imagetest.TarDir(dir))
}

func writeFile(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func archives(o Options) *Archives { return NewArchives(o, slog.New(slog.DiscardHandler)) }

func TestArchiveNamesAreKeysOnly(t *testing.T) {
	t.Parallel()
	outside := writeFile(t, "secret", []byte("secret"))
	b := imagetest.Tar(
		imagetest.File("../../etc/passwd", "outside"),
		imagetest.File("/etc/group", "in the archive"),
		imagetest.File("dir/../d", "up and down"),
		imagetest.Symlink("all", "../.."),
		imagetest.Dir("dir/", 0o755),
		imagetest.Symlink("out", outside),
		imagetest.Symlink("a/loop", "../a/loop"),
		imagetest.Symlink("a/up", "../b"),
		imagetest.File("b", "first"),
		imagetest.File("./b", "second"),
		imagetest.Hardlink("c", "b"),
	)
	a, err := archives(Options{}).open(t.Context(), writeFile(t, "x.tar", b))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	for name, want := range map[string]string{
		"etc/group": "in the archive", "/etc/group": "in the archive", "b": "second", "a/up": "second", "c": "second",
		"d": "up and down", "./d": "up and down", "x/../b": "second",
		"etc/passwd": "", "../../etc/passwd": "", "../b": "", "out": "", "a/loop": "", "none": "", "": "", "dir": "", "all": "",
	} {
		f, err := a.open(name)
		if want == "" {
			if err == nil {
				t.Errorf("%q: opened, want an error", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got, _ := io.ReadAll(f); string(got) != want || f.size != int64(len(want)) {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestArchiveCutShort(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(archiveOf(t, hello))
	if err != nil {
		t.Fatal(err)
	}
	contents, _, err := indexTar(t.Context(), bytes.NewReader(b), int64(len(b)))
	if err != nil || len(contents) == 0 {
		t.Fatal(contents, err)
	}
	for name, e := range contents {
		if e.other != "" {
			continue
		}
		for _, n := range []int64{e.offset - 1, e.offset + e.size - 1} {
			if _, err := archives(Options{}).open(t.Context(), writeFile(t, "x.tar", b[:n])); !errors.Is(err, failure.Malformed) {
				t.Errorf("cut at %d, in %s: got %v, want %v", n, name, err, failure.Malformed)
			}
		}
	}
}

func FuzzArchiveIndex(f *testing.F) {
	f.Add(imagetest.Tar(imagetest.File("a", "b"), imagetest.Symlink("c", "../a"), imagetest.Dir("d/", 0o755)))
	f.Fuzz(func(t *testing.T, b []byte) {
		contents, _, err := indexTar(t.Context(), bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for name, e := range contents {
			if e.offset < 0 || e.size < 0 || e.offset+e.size > int64(len(b)) {
				t.Errorf("%q lies outside: %+v", name, e)
			}
		}
	})
}
