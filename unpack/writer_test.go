// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/layerctl/layerctl/internal/durable"
	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/unpack"
	"golang.org/x/sys/unix"
)

// busy is a layer of many small files, some large ones between them, and names
// that are linked, replaced and removed right after they were made.
func busy() []Entry {
	var list []Entry
	files := 100
	if full() {
		files = 500
	}
	for i := range files {
		dir := fmt.Sprintf("d%d/", i/50)
		f := File(fmt.Sprintf("%sf%d", dir, i), noise(i%7*311))
		f.Uid, f.Gid, f.Mode = i%3, i%5, int64(0o600+i%0o200)
		list = append(list, f)
		switch i % 50 {
		case 1:
			list = append(list, Hardlink(f.Name+".link", f.Name))
		case 2:
			list = append(list, File(f.Name, "again"))
		case 3:
			list = append(list, Dir(f.Name+"/", 0o700), File(f.Name+"/in", "now a directory"))
		case 4:
			list = append(list, Symlink(f.Name, "elsewhere"))
		case 5:
			f.Name, f.PAXRecords = f.Name+".x", map[string]string{"SCHILY.xattr.user.x": "y"}
			list = append(list, f)
		case 6:
			list = append(list, File(f.Name+".large", noise(300_000)))
		}
	}
	return append(list, Symlink("d0", "gone"), File("d1/.wh..wh..opq", ""), File("d2/.wh.f100", ""))
}

// TestWriterChangesNothing has small files written beside the reading of the
// tar and, in the other run, by who reads it.
func TestWriterChangesNothing(t *testing.T) {
	tar := Tar(busy()...)
	both(t, "busy", Gzip(tar), unpack.Options{})
	both(t, "ended by garbage", Gzip(append(tar[:len(tar)-1024], noise(1024)...)), unpack.Options{})
	both(t, "limit", Gzip(tar), unpack.Options{Limits: unpack.Limits{Entries: 150}})
}

// TestWriterFails lets each operation on small files fail. The error is that
// of the first file which it failed on, though the reading of the tar is ahead
// by then and finds a fault of its own.
func TestWriterFails(t *testing.T) {
	var list []Entry
	for i := range 20 {
		list = append(list, File(fmt.Sprintf("f%02d", i), "content"))
	}
	blob := Gzip(Tar(append(list, File("../x", ""))...))
	for _, op := range []string{"write", "chmod", "utimes", "close"} {
		for _, from := range []int{1, 7, 20} {
			ctx := durable.WithFault(t.Context(), failFrom(op, from))
			files := openFiles(t)
			got := outcome(t, ctx, bytes.NewReader(blob), unpack.Source{}, unpack.Options{})
			if want := fmt.Sprintf("f%02d", from-1); !strings.Contains(got, want) || !strings.Contains(got, unix.EIO.Error()) {
				t.Errorf("%s %d failed: error = %q, want EIO of %s", op, from, got, want)
			}
			if got := openFiles(t); got > files {
				t.Errorf("%s %d failed: %d files open, before %d", op, from, got, files)
			}
		}
	}
}

// failFrom fails all operations op from the n-th on. Those on the root, which
// come before the first file is made, are not counted.
func failFrom(op string, n int) func(string) error {
	var mu sync.Mutex
	files, count := false, 0
	return func(got string) error {
		mu.Lock()
		defer mu.Unlock()
		files = files || got == "create"
		if !files || got != op {
			return nil
		}
		if count++; count >= n {
			return unix.EIO
		}
		return nil
	}
}

// TestWriterStopsTheReading fails a write at the start of a layer of many
// pieces: the rest of it is not made.
func TestWriterStopsTheReading(t *testing.T) {
	list := []Entry{File("first", "x")}
	for i := range 5000 {
		list = append(list, Symlink(fmt.Sprintf("l%d", i), "x"))
	}
	dir := tempDir(t)
	ctx := durable.WithFault(t.Context(), failFrom("write", 1))
	err := unpackWith(ctx, dir, bytes.NewReader(Gzip(Tar(list...))), unpack.Options{})
	if err == nil || !strings.Contains(err.Error(), unix.EIO.Error()) {
		t.Errorf("error = %v, want EIO", err)
	}
	if _, err := os.Lstat(dir + "/l4999"); err == nil {
		t.Error("the layer was made to its end, long after a write had failed")
	}
}
