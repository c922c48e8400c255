// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/sortedview"
	"github.com/layerctl/layerctl/layer"
)

func sortedJournal(entries ...layer.Entry) iter.Seq2[layer.Entry, error] {
	return func(yield func(layer.Entry, error) bool) {
		for _, e := range append([]layer.Entry{{Path: ".", Type: layer.Directory, Implied: true}}, entries...) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func listSorted(t *testing.T, v *sortedview.View) (string, error) {
	t.Helper()
	var paths []string
	err := v.All(t.Context(), func(f sortedview.File) error {
		paths = append(paths, fmt.Sprintf("%s %d", f.Path, f.Layer))
		return nil
	})
	return strings.Join(paths, ", "), err
}

// A directory's names come in the order of their bytes, and what is in a
// directory right behind it, however little is sorted at once.
func TestOrder(t *testing.T) {
	for _, most := range []int{1, 100, 0} {
		v := sortedview.New(sortedview.Options{Dir: t.TempDir(), Sorted: most})
		defer v.Close()
		dir := layer.Entry{Path: "a", Type: layer.Directory}
		err := v.Add(t.Context(), sortedJournal(layer.Entry{Path: "a!", Type: layer.FIFO}, dir, layer.Entry{Path: "a/b", Type: layer.FIFO}, layer.Entry{Path: "a-", Type: layer.FIFO}), layer.Facts{})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Add(t.Context(), sortedJournal(dir, layer.Entry{Path: "a/!", Type: layer.FIFO}), layer.Facts{}); err != nil {
			t.Fatal(err)
		}
		got, err := listSorted(t, v)
		if want := ". -1, a 1, a/! 1, a/b 0, a! 0, a- 0"; got != want || err != nil {
			t.Errorf("%d at once: %s, %v, want %s", most, got, err, want)
		}
	}
}

func TestNothing(t *testing.T) {
	v := sortedview.New(sortedview.Options{})
	if got, err := listSorted(t, v); got != ". -1" || err != nil {
		t.Errorf("no layer shows %q, %v", got, err)
	}
}

// Of files with several names as many may be kept as there is memory for.
func TestLimit(t *testing.T) {
	var entries []layer.Entry
	for n := range 100 {
		entries = append(entries, layer.Entry{Path: fmt.Sprint(n), Type: layer.Regular}, layer.Entry{Path: fmt.Sprint(n, "again"), Type: layer.Hardlink, Linkname: fmt.Sprint(n)})
	}
	for memory, want := range map[int64]error{0: nil, 5000: sortedview.ErrLimit} {
		v := sortedview.New(sortedview.Options{Dir: t.TempDir(), Memory: memory})
		defer v.Close()
		if err := v.Add(t.Context(), sortedJournal(entries...), layer.Facts{}); !errors.Is(err, want) {
			t.Errorf("of %d bytes: %v", memory, err)
		}
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	failing := func(yield func(layer.Entry, error) bool) { yield(layer.Entry{}, broken) }
	links := func(path, target string) layer.Facts {
		return layer.Facts{ForeignLinks: []layer.ForeignLink{{Path: layer.Path(path), Target: layer.Path(target)}}}
	}
	loop := []layer.Entry{{Path: "a", Type: layer.Symlink, Linkname: "b"}, {Path: "b", Type: layer.Symlink, Linkname: "a"}}
	for _, c := range []struct {
		name    string
		ctx     context.Context
		journal iter.Seq2[layer.Entry, error]
		facts   layer.Facts
		want    error
	}{
		{"a journal that cannot be read", t.Context(), failing, layer.Facts{}, broken},
		{"a context that is over", canceled, sortedJournal(), layer.Facts{}, context.Canceled},
		{"a NUL", t.Context(), sortedJournal(layer.Entry{Path: "a\x00b", Type: layer.FIFO}), layer.Facts{}, sortedview.ErrMalformed},
		{"a hardlink to nothing", t.Context(), sortedJournal(layer.Entry{Path: "a", Type: layer.Hardlink, Linkname: "b"}), layer.Facts{}, sortedview.ErrMalformed},
		{"a root that is a file", t.Context(), sortedJournal(layer.Entry{Path: ".", Type: layer.Regular}), layer.Facts{}, sortedview.ErrMalformed},
		{"a link to nothing below", t.Context(), sortedJournal(), links("x", "no/thing"), sortedview.ErrMalformed},
		{"a link to the root", t.Context(), sortedJournal(), links("x", "a/../.."), sortedview.ErrMalformed},
		{"a link through symlinks in a circle", t.Context(), sortedJournal(), links("x", "a/x"), sortedview.ErrMalformed},
		{"a link to what it hides", t.Context(), sortedJournal(), func() layer.Facts { f := links("x", "a"); f.RootOpaque = true; return f }(), sortedview.ErrMalformed},
		{"a link to a symlink", t.Context(), sortedJournal(), links("x", "a"), nil},
	} {
		v := sortedview.New(sortedview.Options{Dir: t.TempDir()})
		defer v.Close()
		err := v.Add(t.Context(), sortedJournal(slices.Clone(loop)...), layer.Facts{})
		if err == nil {
			err = v.Add(c.ctx, c.journal, c.facts)
		}
		if err == nil {
			_, err = listSorted(t, v)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
