// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/durable"
	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
	"golang.org/x/sys/unix"
)

// everything is a layer that does all that unpacking can do.
var everything = Gzip(Tar(
	Dir("./", 0o755), Dir("d/", 0o755), File("d/f", "f"), File("d/f", "again"), Hardlink("d/h", "d/f"), Symlink("d/l", "f"),
	File("d/sub/x", "x"), File(".wh.d", ""), File("e/.wh.x", ""), File("e/.wh.y", ""), File("e/.wh..wh..opq", ""),
	File("g/.wh.x", ""), File("g/x", "x"), Symlink("d", "g"), File("d/y", "y"), Hardlink("foreign", "lower"),
))

// TestEveryFaultIsSeen lets each operation fail in turn.
func TestEveryFaultIsSeen(t *testing.T) {
	for _, form := range forms {
		if os.Geteuid() != 0 && form.o.IDs != layer.SquashedIDs {
			continue
		}
		ops := make(map[string]int)
		step := 1
		if !full() {
			step = 5
		}
		for n := 0; ; n += step {
			err := withFault(t, form.o, n, ops)
			if err == nil {
				break // none was left to fail
			}
			if !errors.Is(err, unix.EIO) || errors.Is(err, unpack.ErrMalformed) {
				t.Fatalf("%s: operation %d: error = %v, want EIO", form.name, n, err)
			}
		}
		for _, op := range []string{"mkdir", "create", "write", "symlink", "link", "unlink", "chmod", "utimes", "setxattr", "removexattr", "close"} {
			if ops[op] == 0 {
				t.Errorf("%s: no operation %q was met", form.name, op)
			}
		}
	}
}

func withFault(t *testing.T, o unpack.Options, at int, ops map[string]int) error {
	t.Helper()
	n := 0
	ctx := durable.WithFault(context.Background(), func(op string) error {
		n++
		ops[op]++
		if n == at+1 {
			return unix.EIO
		}
		return nil
	})
	before := openFiles(t)
	f, err := os.Open(tempDir(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = unpack.Layer(ctx, f, bytes.NewReader(everything), unpack.Source{}, o)
	f.Close()
	// Fewer are right: the collector closes what an earlier test has dropped.
	if got := openFiles(t); got > before {
		t.Errorf("operation %d left %d files open, want %d", at, got, before)
	}
	return err
}

// openFiles counts the open files, but for those by which the runtime waits.
// It opens them when it first needs them.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range list {
		if what, _ := os.Readlink("/proc/self/fd/" + fd.Name()); !strings.HasPrefix(what, "anon_inode:[event") {
			n++
		}
	}
	return n
}
