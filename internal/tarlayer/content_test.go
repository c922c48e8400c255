// SPDX-License-Identifier: Apache-2.0

package tarlayer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/layer"
)

// FuzzContent reads files of a layer by entries of a journal that may say
// anything of where they are: what comes is as long as the entry says, or the
// layer is damaged.
func FuzzContent(f *testing.F) {
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), bytes.Repeat([]byte("0123456789abcdef"), 1<<10), 0o600); err != nil {
		f.Fatal(err)
	}
	open, err := os.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { open.Close() })
	f.Add(int64(512), int64(100), false, int64(0), int64(0), int64(0), int64(0))
	f.Add(int64(512), int64(5000), true, int64(10), int64(20), int64(4000), int64(700))
	f.Add(int64(512), int64(1<<40), false, int64(0), int64(0), int64(0), int64(0))
	f.Add(int64(-5), int64(9), true, int64(4), int64(-1), int64(1<<62), int64(1<<62))
	f.Fuzz(func(t *testing.T, at, size int64, sparse bool, offset1, size1, offset2, size2 int64) {
		e := layer.Entry{Path: "f", Type: layer.Regular, At: at, Size: size}
		if sparse {
			e.Fragments = []layer.Fragment{{Offset: offset1, Size: size1}, {Offset: offset2, Size: size2}}
		}
		c, err := Open(open, e)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		const most = 1 << 16
		n, err := io.Copy(io.Discard, io.LimitReader(c, most))
		switch {
		case err == nil && n != min(max(size, 0), most):
			t.Errorf("%d bytes of a file of %d", n, size)
		case errors.Is(err, io.EOF):
			t.Errorf("%v is an end that nobody looks at, want %v", err, journal.ErrDamaged)
		}
	})
}
