// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
	"github.com/opencontainers/go-digest"
)

// noise is what does not compress, and is the same each time.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return string(b)
}

// outcome is all that can be told of an unpacking.
func outcome(t *testing.T, ctx context.Context, blob io.Reader, want unpack.Source, o unpack.Options) string {
	t.Helper()
	dir := tempDir(t)
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if os.Geteuid() != 0 {
		o.IDs, o.Xattrs = layer.SquashedIDs, layer.UserXattrs
	}
	r, err := unpack.Layer(ctx, f, blob, want, o)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%+v\n%s", r, fingerprint(t, dir))
}

// TestStagesChangeNothing unpacks sound and damaged blobs with the stages
// beside each other and one after the other.
func TestStagesChangeNothing(t *testing.T) {
	size := 200_000
	if full() {
		size = 2_000_000
	}
	tar := Tar(Dir("d/", 0o755), File("d/noise", noise(size*3/4)), File("d/zeros", strings.Repeat("\x00", size)), Symlink("l", "d"), File("last", "last"))
	blobs := map[string][]byte{
		"gzip": Gzip(tar), "members": slices.Concat(Gzip(tar[:size/2]), Gzip(tar[size/2:])),
		"zstd": zstdOf(t, tar), "tar": tar,
	}
	for name, blob := range blobs {
		places := []int{len(blob) / 3}
		if full() {
			places = []int{0, 1, 17, len(blob) / 3, len(blob) - 9, len(blob) - 1}
		}
		for _, at := range places {
			flipped := bytes.Clone(blob)
			flipped[at] ^= 0x40
			for damage, b := range map[string][]byte{"cut": blob[:at], "flipped": flipped, "garbage": append(bytes.Clone(blob), noise(at/2)...)} {
				both(t, fmt.Sprintf("%s %s at %d", name, damage, at), b, unpack.Options{})
			}
		}
		both(t, name, blob, unpack.Options{})
		both(t, name+" over a limit", blob, unpack.Options{Limits: unpack.Limits{Bytes: int64(size)}})
	}
}

func both(t *testing.T, name string, blob []byte, o unpack.Options) {
	t.Helper()
	serial := o
	serial.Serial = true
	want := outcome(t, t.Context(), bytes.NewReader(blob), unpack.Source{}, serial)
	for _, r := range []io.Reader{bytes.NewReader(blob), iotest.DataErrReader(&pieces{blob, 1000})} {
		if got := outcome(t, t.Context(), r, unpack.Source{}, o); got != want {
			t.Errorf("%s: in stages:\n%s\none after the other:\n%s", name, got, want)
		}
	}
	small := unpack.Source{Size: int64(len(blob))}
	if got := outcome(t, t.Context(), bytes.NewReader(blob), small, o); got != want {
		t.Errorf("%s: with its size:\n%s\none after the other:\n%s", name, got, want)
	}
}

// TestNoStageStaysBehind ends unpackings early, in each way there is, and
// counts goroutines and reads.
func TestNoStageStaysBehind(t *testing.T) {
	blob := Gzip(Tar(File("a", noise(4<<20)), File("b", noise(4<<20))))
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		blob io.Reader
		o    unpack.Options
		says string
	}{
		{"the blob breaks", t.Context(), io.MultiReader(bytes.NewReader(blob[:3<<20]), iotest.ErrReader(broken)), unpack.Options{}, "broken"},
		{"a limit", t.Context(), bytes.NewReader(blob), unpack.Options{Limits: unpack.Limits{Bytes: 1 << 20}}, "limit"},
		{"malformed", t.Context(), bytes.NewReader(append(Gzip(Tar(File("../x", ""))), blob...)), unpack.Options{}, "malformed"},
		{"the context", ctx, bytes.NewReader(blob), unpack.Options{}, "canceled"},
	} {
		before := runtime.NumGoroutine()
		late := &watched{Reader: c.blob}
		if got := outcome(t, c.ctx, late, unpack.Source{}, c.o); !strings.Contains(got, c.says) {
			t.Errorf("%s: error = %q, want %q in it", c.name, got, c.says)
		}
		late.over = true
		// One that has done its work may still be on its way out.
		for tries := 0; runtime.NumGoroutine() > before && tries < 60_000; tries++ {
			time.Sleep(time.Millisecond)
		}
		if got := runtime.NumGoroutine(); got > before {
			t.Errorf("%s: %d goroutines, %d before", c.name, got, before)
		}
		time.Sleep(time.Millisecond)
		if late.late {
			t.Errorf("%s: the blob was read after the end", c.name)
		}
	}
}

// watched sees reads that come too late. It has no lock: the race detector
// sees them too.
type watched struct {
	io.Reader
	over, late bool
}

func (w *watched) Read(b []byte) (int, error) {
	w.late = w.late || w.over
	return w.Reader.Read(b)
}

// BenchmarkStages unpacks one layer with the stages beside each other and one
// after the other: what is gained on large ones must not be lost on small ones.
func BenchmarkStages(b *testing.B) {
	text := strings.Repeat("text that compresses, ", 1000)
	for _, files := range []int{10, 100, 300} {
		var list []Entry
		for i := range files {
			list = append(list, File(fmt.Sprintf("f%d", i), text[:i*50]+noise(9000)+text))
		}
		tar := Tar(list...)
		blob := Gzip(tar)
		for _, serial := range []bool{true, false} {
			b.Run(fmt.Sprintf("KiB=%d/serial=%v", len(blob)>>10, serial), func(b *testing.B) {
				b.SetBytes(int64(len(tar)))
				for b.Loop() {
					unpackOnce(b, blob, unpack.Options{Serial: serial})
				}
			})
		}
	}
}

func unpackOnce(b *testing.B, blob []byte, o unpack.Options) {
	b.StopTimer()
	defer b.StartTimer()
	dir, err := os.MkdirTemp(shm(), "unpack")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	f, err := os.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if os.Geteuid() != 0 {
		o.IDs, o.Xattrs = layer.SquashedIDs, layer.UserXattrs
	}
	b.StartTimer()
	_, err = unpack.Layer(b.Context(), f, bytes.NewReader(blob), unpack.Source{Size: int64(len(blob))}, o)
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHash is the stage between decompressing and the files by itself: the
// diffID's sha256 over pieces as that gets them.
func BenchmarkHash(b *testing.B) {
	piece := []byte(noise(256 << 10))
	hash := digest.Canonical.Digester().Hash()
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		hash.Write(piece)
	}
}
