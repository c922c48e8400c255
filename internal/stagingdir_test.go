// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/stagingdir"
)

// What was synced in its place stays there, whatever comes after it; all else is
// taken back.
func TestMoveAllFails(t *testing.T) {
	ops := []string{"rename a", "rename b", "sync layers", "rename c", "sync fix"}
	for n, op := range ops {
		root := t.TempDir()
		dirs := map[string]*os.File{}
		for _, name := range []string{"staging", "layers", "fix", "staging/a", "staging/b", "staging/c"} {
			path := filepath.Join(root, name)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			dir, err := durable.OpenDir(path)
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			dirs[name] = dir
		}
		var moves []stagingdir.Move
		for _, m := range []struct{ name, to string }{{"a", "layers"}, {"b", "layers"}, {"c", "fix"}} {
			moves = append(moves, stagingdir.Move{From: dirs["staging"], Name: m.name, To: dirs[m.to], Final: m.name})
		}
		ctx, _ := durable.WithFaultAt(t.Context(), n, func() error { return unix.EIO })
		moved, err := stagingdir.MoveAll(ctx, moves, false)
		var want []int
		stay, back := []string{}, []string{"a", "b", "c"}
		if n > 2 {
			want, stay, back = []int{0, 1}, back[:2], back[2:]
		}
		if !errors.Is(err, unix.EIO) || !slices.Equal(moved, want) {
			t.Errorf("%s: moved %v, %v", op, moved, err)
		}
		for name, want := range map[string][]string{"staging": back, "layers": stay, "fix": {}} {
			if got, err := fsat.Names(dirs[name]); err != nil || !slices.Equal(slices.Sorted(slices.Values(got)), want) {
				t.Errorf("%s: %s has %q, %v; want %q", op, name, got, err, want)
			}
		}
	}
}
