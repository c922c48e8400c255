// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/registry/internal/failure"
)

// The files in testdata are a tar of one file, "a", compressed by gzip, bzip2,
// xz and zstd: as one, in two parts of which the first ends within the file's
// padding, and for windows of 16, 192 and 256 MiB.
var compressions = map[string]string{"gzip": "gz", "bzip2": "bz2", "xz": "xz", "zstd": "zst"}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readA opens an archive of these bytes, under a name that says nothing of how
// they are compressed, and reads the file "a".
func readA(t *testing.T, b []byte, o Options) (string, error) {
	t.Helper()
	a, err := archives(o).open(t.Context(), writeFile(t, "image.zip", b))
	if err != nil {
		return "", err
	}
	defer a.close()
	got, err := readFile(a, "a", 100)
	return string(got), err
}

func TestCompressedArchives(t *testing.T) {
	t.Parallel()
	for name, suffix := range compressions {
		for _, file := range []string{"one.tar.", "parts.tar."} {
			dir := t.TempDir()
			got, err := readA(t, fixture(t, file+suffix), Options{TempDir: dir})
			if err != nil || got != "hello\n" {
				t.Errorf("%s, %s: got %q, %v", name, file, got, err)
			}
			if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
				t.Errorf("%s, %s: left %v, %v", name, file, list, err)
			}
		}
	}
}

// The first bytes decide: a tar of a file that is called as bzip2's files begin
// is a tar.
func TestArchiveThatLooksCompressed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"BZh91AY", "\x1f\x8b\x08", "\xfd7zXZ"} {
		b := imagetest.Tar(imagetest.File(name, ""), imagetest.File("a", "hello\n"))
		if got, err := readA(t, b, Options{}); err != nil || got != "hello\n" {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
	}
}

func TestDamagedArchives(t *testing.T) {
	t.Parallel()
	for name, suffix := range compressions {
		whole := fixture(t, "one.tar."+suffix)
		check := func(what string, b []byte, words ...string) {
			t.Helper()
			_, err := readA(t, b, Options{})
			if !errors.Is(err, failure.Malformed) {
				t.Errorf("%s, %s: got %v, want %v", name, what, err, failure.Malformed)
				return
			}
			for _, w := range words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%s, %s: %q does not say %q", name, what, err, w)
				}
			}
		}
		for n := 8; n < len(whole); n += every(13) {
			check("cut short", whole[:n], name)
		}
		check("garbage behind it", append(bytes.Clone(whole), "garbage behind it"...), name)
		check("a tar behind it", append(bytes.Clone(whole), imagetest.Tar(imagetest.File("b", ""))...), name)
		check("another member that is cut short", append(bytes.Clone(whole), whole[:len(whole)-3]...), name)
		check("garbage alone", append(bytes.Clone(whole[:10]), bytes.Repeat([]byte("x"), 100)...), name)
	}
}

// every is 1 where all is tried; else one of some is.
func every(some int) int {
	if os.Getenv("LAYERCTL_FULL") == "1" {
		return 1
	}
	return some
}

// A bit that fell over is found, or is one that says nothing of the content.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	for name, suffix := range compressions {
		whole := fixture(t, "one.tar."+suffix)
		found, step := 0, every(7)
		for i := 0; i < len(whole); i += step {
			b := bytes.Clone(whole)
			b[i] ^= 1 << (i % 8)
			got, err := readA(t, b, Options{})
			switch {
			case errors.Is(err, failure.Malformed):
				found++
			case err != nil || got != "hello\n":
				t.Errorf("%s, byte %d: got %q, %v", name, i, got, err)
			}
		}
		if found*step < len(whole)*8/10 {
			t.Errorf("%s: of %d flipped bits only %d were found", name, len(whole), found)
		}
	}
}

func TestArchiveCompressedTwice(t *testing.T) {
	t.Parallel()
	for name, suffix := range compressions {
		_, err := readA(t, imagetest.Gzip(fixture(t, "one.tar."+suffix)), Options{})
		if !errors.Is(err, failure.Malformed) || !strings.Contains(err.Error(), "compressed twice, with gzip and in that with "+name) {
			t.Errorf("%s in gzip: got %v", name, err)
		}
	}
	_, err := readA(t, imagetest.StoredZstd(20, imagetest.Gzip(nil)), Options{})
	if !errors.Is(err, failure.Malformed) || !strings.Contains(err.Error(), "compressed twice, with zstd and in that with gzip") {
		t.Errorf("gzip in zstd: got %v", err)
	}
}

func TestArchiveWindows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file   string
		window int64
		ok     bool
	}{
		{"window.tar.xz", 0, false}, {"window.tar.xz", 1 << 40, false},
		{"window.tar.zst", 0, false}, {"window.tar.zst", 1 << 40, false},
		{"window16.tar.xz", 0, true}, {"window16.tar.xz", 15 << 20, false}, {"window16.tar.xz", 16 << 20, true},
		{"window16.tar.zst", 0, true}, {"window16.tar.zst", 15 << 20, false}, {"window16.tar.zst", 16 << 20, true},
		{"one.tar.xz", 1, true}, {"one.tar.zst", 1, true},
	} {
		_, err := readA(t, fixture(t, tt.file), Options{MaxWindow: tt.window})
		if tt.ok && err != nil || !tt.ok && (!errors.Is(err, failure.Malformed) || !strings.Contains(err.Error(), "window")) {
			t.Errorf("%s with a window of %d: got %v", tt.file, tt.window, err)
		}
	}
}

func TestArchiveLimits(t *testing.T) {
	t.Parallel()
	b := fixture(t, "one.tar.gz")
	for _, tt := range []struct {
		name string
		o    Options
		kind error
		word string
	}{
		{"size", Options{MaxSize: 1000}, failure.Malformed, "1000 bytes"},
		{"just enough", Options{MaxSize: 2048}, nil, ""},
		{"no limit", Options{MaxSize: -1, MaxRatio: -1, Reserve: -1}, nil, ""},
		{"reserve", Options{Reserve: 1 << 60}, errkind.Filesystem, "kept in reserve"},
		{"no such directory", Options{TempDir: "/nonexistent"}, errkind.Filesystem, "/nonexistent"},
	} {
		_, err := readA(t, b, tt.o)
		if tt.kind == nil && err != nil || tt.kind != nil && (!errors.Is(err, tt.kind) && errkind.Of(err) != tt.kind || !strings.Contains(err.Error(), tt.word)) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.kind)
		}
	}
}

func TestArchiveRatio(t *testing.T) {
	t.Parallel()
	o := Options{}.withDefaults()
	for _, tt := range []struct {
		name       string
		read, made int64
		ok         bool
	}{
		{"a small one of zeros", 1 << 10, 1<<30 - 1<<20, true},
		{"200 times, and past 1 GiB", 1 << 23, 200 << 23, true},
		{"more than 200 times", 1 << 22, 201 << 22, true}, // 843 MB
		{"a bomb", 1 << 23, 202 << 23, false},
		{"a bomb, much later", 1 << 30, 202 << 30, false},
	} {
		w := &bounded{in: &counting{n: tt.read}, o: o, n: tt.made - 1<<20}
		if err := w.check(1 << 20); tt.ok != (err == nil) || err != nil && !errors.Is(err, failure.Malformed) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

// broken fails in the middle.
type broken struct{ io.Reader }

var errBroken = errors.New("the disk is broken")

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = errBroken
	}
	return n, err
}

// What the reader says is not taken for damage of the data.
func TestReadErrorOfAnArchive(t *testing.T) {
	t.Parallel()
	for name, suffix := range compressions {
		whole := fixture(t, "one.tar."+suffix)
		for _, n := range []int{0, 4, 20, len(whole) / 2, len(whole) - 1} {
			_, err := copyArchive(t.Context(), &broken{bytes.NewReader(whole[:n])}, "x", Options{}.withDefaults())
			if !errors.Is(err, errBroken) || errors.Is(err, failure.Malformed) {
				t.Errorf("%s after %d bytes: got %v, want %v", name, n, err, errBroken)
			}
		}
	}
}

func TestUnpackingAnArchiveIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := archives(Options{}).open(ctx, writeFile(t, "x", fixture(t, "one.tar.xz")))
	if !errors.Is(err, context.Canceled) || errors.Is(err, failure.Malformed) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// cancelling ends the context at its first read: what was read becomes much.
type cancelling struct {
	io.Reader
	cancel func()
}

func (c cancelling) Read(p []byte) (int, error) {
	defer c.cancel()
	return c.Reader.Read(p)
}

func TestUnpackingOfLittleIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{imagetest.Gzip(make([]byte, 8<<20)), fixture(t, "one.tar.zst")} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := copyArchive(ctx, cancelling{bytes.NewReader(b), cancel}, "x", Options{}.withDefaults())
		if !errors.Is(err, context.Canceled) || errors.Is(err, failure.Malformed) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	}
}

func TestArchiveFromStandardInput(t *testing.T) {
	t.Parallel()
	plain := imagetest.Tar(imagetest.File("a", "hello\n"))
	for name, b := range map[string][]byte{"plain": plain, "gzip": imagetest.Gzip(plain), "xz": fixture(t, "one.tar.xz")} {
		as := archives(Options{Stdin: bytes.NewReader(b), TempDir: t.TempDir()})
		for range 2 { // the second finds what the first has read
			a, err := as.open(t.Context(), Stdin)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := readFile(a, "a", 100); err != nil || string(got) != "hello\n" {
				t.Errorf("%s: got %q, %v", name, got, err)
			}
			if err := a.close(); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := archives(Options{}).open(t.Context(), Stdin)
	if !errors.Is(err, errkind.Usage) {
		t.Errorf("without one: got %v, want %v", err, errkind.Usage)
	}
	_, err = archives(Options{Stdin: strings.NewReader(strings.Repeat("x", 2000)), MaxSize: 1000}).open(t.Context(), Stdin)
	if !errors.Is(err, failure.Malformed) {
		t.Errorf("too much: got %v, want %v", err, failure.Malformed)
	}
}

func TestStandardInputThatNeverEnds(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = w.Write([]byte("x"))
		cancel()
	}()
	if _, err := archives(Options{Stdin: r}).open(ctx, Stdin); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func FuzzCompressedArchive(f *testing.F) {
	for _, suffix := range compressions {
		f.Add(fixture(f, "one.tar."+suffix))
		f.Add(fixture(f, "parts.tar."+suffix))
	}
	f.Add(fixture(f, "window.tar.xz"))
	f.Add(fixture(f, "window.tar.zst"))
	o := Options{TempDir: f.TempDir(), MaxSize: 1 << 20, Reserve: -1, MaxWindow: 1}.withDefaults()
	f.Fuzz(func(t *testing.T, b []byte) {
		tar, err := copyArchive(t.Context(), bytes.NewReader(b), "x", o)
		if err != nil {
			if !errors.Is(err, failure.Malformed) {
				t.Errorf("got %v, want it to be %v", err, failure.Malformed)
			}
			return
		}
		defer tar.Close()
		st, err := tar.Stat()
		if err != nil || st.Size() > 1<<20 {
			t.Fatalf("got %d bytes, %v", st.Size(), err)
		}
		if _, _, err := indexTar(t.Context(), tar, st.Size()); err != nil && !errors.Is(err, failure.Malformed) {
			t.Error(err)
		}
	})
}
