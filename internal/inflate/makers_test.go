// SPDX-License-Identifier: Apache-2.0

package inflate

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/pgzip"
)

// A maker is a program or library that makes the gzip streams of layers.
type maker struct {
	name string
	make func(t testing.TB, data []byte) []byte
}

func makers() []maker {
	var list []maker
	levels := map[int]string{-2: "huffman only", 0: "stored", 1: "1", 6: "6", 9: "9"}
	if !full() {
		delete(levels, 1)
		delete(levels, 9)
	}
	for level, name := range levels {
		list = append(list,
			maker{"go " + name, library(func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, level) })},
			maker{"klauspost " + name, library(func(w io.Writer) (io.WriteCloser, error) { return kgzip.NewWriterLevel(w, level) })},
			maker{"pgzip " + name, library(func(w io.Writer) (io.WriteCloser, error) { return pgzip.NewWriterLevel(w, level) })},
		)
	}
	programs := []string{"gzip -6", "pigz -6", "pigz -b 32 -i", "igzip -1", "igzip -3"}
	if full() {
		programs = append(programs, "gzip -1", "gzip -9", "pigz -0", "pigz -1", "pigz -9", "pigz -11 -I 1", "igzip -0", "igzip -2")
	}
	for _, line := range programs {
		list = append(list, maker{line, program(strings.Fields(line + " -c"))})
	}
	return list
}

func library(open func(io.Writer) (io.WriteCloser, error)) func(testing.TB, []byte) []byte {
	return func(t testing.TB, data []byte) []byte {
		var b bytes.Buffer
		w, err := open(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
}

func program(argv []string) func(testing.TB, []byte) []byte {
	return func(t testing.TB, data []byte) []byte {
		if _, err := exec.LookPath(argv[0]); err != nil {
			t.Skipf("needs %s: %v", argv[0], err)
		}
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdin = bytes.NewReader(data)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// contents are kinds of data that lead compressors into different blocks.
func contents(t *testing.T) map[string][]byte {
	t.Helper()
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	noise := make([]byte, 400_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	var few []byte
	for len(few) < 400_000 {
		few = append(few, bytes.Repeat([]byte{byte(rng.ExpFloat64() * 3)}, 1+rng.IntN(1+rng.IntN(600)))...)
	}
	kinds := map[string][]byte{
		"nothing": nil,
		"a byte":  {'x'},
		"zeros":   make([]byte, 1_500_000),
		"noise":   noise,
		"runs":    few,
		"program": binary[:min(len(binary), 1_500_000)],
		"mixture": append(append(append([]byte(nil), binary[:200_000]...), noise[:100_000]...), few...),
	}
	if !full() {
		for kind, data := range kinds {
			kinds[kind] = data[:min(len(data), 70_000)] // two windows and some more
		}
	}
	return kinds
}

func TestMakers(t *testing.T) {
	z := NewReader(nil)
	data := contents(t)
	for _, m := range makers() {
		t.Run(m.name, func(t *testing.T) {
			for kind, want := range data {
				raw := m.make(t, want)
				for _, size := range []int{1, 1 << 20} {
					z.Reset(bytes.NewReader(raw))
					if got := byNext(size)(z); got.err != io.EOF || !bytes.Equal(got.data, want) {
						t.Errorf("%s by buffers of %d: got %d bytes, %v, want %d", kind, size, len(got.data), got.err, len(want))
					}
				}
				if !full() || len(raw) > 200_000 {
					continue
				}
				hurt := bytes.Clone(raw)
				hurt[len(raw)/2] ^= 0x40
				differ(t, z, hurt, ways[0])
				differ(t, z, raw[:len(raw)/2], ways[1])
				newResumer().resume(t, raw, int64(len(want)/2))
			}
		})
	}
}
