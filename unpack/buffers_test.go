// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// TestBuffersChangeNothing unpacks sound and damaged layers one after the other
// with the same buffers: nothing of one is to be seen in the next. In short the
// long ones are a third as long.
func TestBuffersChangeNothing(t *testing.T) {
	size := 500_000
	if full() {
		size = 1_500_000
	}
	long := Tar(File("a", strings.Repeat("long ", size*4/15)), File("b", noise(size)))
	short := Tar(Dir("d/", 0o755), File("d/x", noise(100_000)))
	blobs := [][]byte{
		Gzip(long), Gzip(short), Gzip(long)[:size*2/3], zstdOf(t, long), Gzip(short)[:50_000], long,
		Gzip(Tar(File("../x", ""), File("y", noise(size*4/3)))), short, zstdOf(t, short), Gzip(long), Gzip(short),
	}
	used := unpack.NewBuffers()
	for _, serial := range []bool{false, true} {
		for i, blob := range blobs {
			want := outcome(t, t.Context(), bytes.NewReader(blob), unpack.Source{}, unpack.Options{Serial: serial})
			got := outcome(t, t.Context(), bytes.NewReader(blob), unpack.Source{}, unpack.Options{Serial: serial, Buffers: used})
			if got != want {
				t.Errorf("layer %d, serial %v: %.300q, with new buffers %.300q", i, serial, got, want)
			}
		}
	}
}

// TestBuffersAreUsedAgain measures what a layer takes anew, of each way in
// which it can come.
func TestBuffersAreUsedAgain(t *testing.T) {
	if !full() {
		t.Skip("measures the memory of the process: LAYERCTL_FULL=1 runs it")
	}
	tar := Tar(File("a", noise(3_000_000)))
	for name, blob := range map[string][]byte{"gzip": Gzip(tar), "tar": tar, "small": Gzip(Tar(File("a", "a")))} {
		size := unpack.Source{Size: int64(len(blob))}
		o := unpack.Options{Buffers: unpack.NewBuffers()}
		if os.Geteuid() != 0 {
			o.IDs, o.Xattrs = layer.SquashedIDs, layer.UserXattrs
		}
		var allocated []uint64
		for range 2 {
			dir, err := os.Open(tempDir(t))
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = unpack.Layer(t.Context(), dir, bytes.NewReader(blob), size, o)
			runtime.ReadMemStats(&after)
			dir.Close()
			if err != nil {
				t.Fatal(err)
			}
			allocated = append(allocated, after.TotalAlloc-before.TotalAlloc)
		}
		if allocated[0] < 256<<10 || allocated[1] > 64<<10 {
			t.Errorf("%s: the first layer took %d bytes, the second %d anew", name, allocated[0], allocated[1])
		}
	}
}
