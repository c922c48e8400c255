// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// writeMany writes a tar of n files, a thousand to a directory.
func writeMany(w io.Writer, n int, body string) error {
	b := bufio.NewWriterSize(w, 1<<20)
	tw := tar.NewWriter(b)
	for i := range n {
		if i%1000 == 0 {
			h := tar.Header{Name: fmt.Sprintf("d%d/e%d/", i/100_000, i/1000), Typeflag: tar.TypeDir, Mode: 0o755, ModTime: ModTime}
			if err := tw.WriteHeader(&h); err != nil {
				return err
			}
		}
		h := tar.Header{
			Name: fmt.Sprintf("d%d/e%d/file%d", i/100_000, i/1000, i), Typeflag: tar.TypeReg, Mode: 0o644, ModTime: ModTime, Size: int64(len(body)),
		}
		if err := tw.WriteHeader(&h); err != nil {
			return err
		}
		if _, err := io.WriteString(tw, body); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return b.Flush()
}

// TestMemoryIsFlat unpacks layers of different sizes, each in a process of
// its own, and compares the most memory that was resident. UNPACK_MEMORY
// names other sizes: UNPACK_MEMORY=100000,1000000 go test -run MemoryIsFlat -v
func TestMemoryIsFlat(t *testing.T) {
	if !full() {
		t.Skip("measures the memory of processes: LAYERCTL_FULL=1 runs it")
	}
	sizes := []string{"3000", "30000"}
	if s := os.Getenv("UNPACK_MEMORY"); s != "" {
		sizes = strings.Split(s, ",")
	}
	var first int
	for i, size := range sizes {
		n, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		kib := memoryOf(t, n)
		t.Logf("%d entries: %d KiB resident at most, %.1f s", n, kib, time.Since(start).Seconds())
		if i == 0 {
			first = kib
		}
		// What is kept does not grow; what the collector has not yet taken
		// back differs from run to run.
		if kib > first+first/2 {
			t.Errorf("%d entries take %d KiB, %s take %d", n, kib, sizes[0], first)
		}
	}
}

func memoryOf(t *testing.T, n int) int {
	t.Helper()
	dir, err := os.MkdirTemp(shm(), "unpack")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helper + `={"IDs":"squashed","Memory":true}`}
	cmd.ExtraFiles = []*os.File{f}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = writeMany(in, n, "")
		in.Close()
	}()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("unpack: %v: %s", err, out)
	}
	_, rest, _ := strings.Cut(string(out), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

func BenchmarkLayer(b *testing.B) {
	for _, body := range []string{"", strings.Repeat("four kilobytes..", 256)} {
		b.Run(fmt.Sprintf("10000 files of %d bytes", len(body)), func(b *testing.B) {
			var tar strings.Builder
			if err := writeMany(&tar, 10_000, body); err != nil {
				b.Fatal(err)
			}
			blob := Gzip([]byte(tar.String()))
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				dir, err := os.MkdirTemp(shm(), "unpack")
				if err != nil {
					b.Fatal(err)
				}
				f, err := os.Open(dir)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				o := unpack.Options{Form: layer.Form{IDs: layer.SquashedIDs, Xattrs: layer.UserXattrs}}
				if os.Geteuid() == 0 {
					o = unpack.Options{}
				}
				_, err = unpack.Layer(b.Context(), f, strings.NewReader(string(blob)), unpack.Source{}, o)
				b.StopTimer()
				if err != nil {
					b.Fatal(err)
				}
				f.Close()
				os.RemoveAll(dir)
				b.StartTimer()
			}
		})
	}
}
