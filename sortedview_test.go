// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/sortedview"
	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// TestSortedView compares what sorted journals come to with what stackview makes
// of them in memory: of random stacks, and of wild ones, whose tars contradict
// themselves in each way that unpack puts up with. LAYERCTL_SEED says where to
// begin and LAYERCTL_STACKS how many.
func TestSortedView(t *testing.T) {
	t.Parallel()
	first, count := number(t, "LAYERCTL_SEED", 1), number(t, "LAYERCTL_STACKS", 10*stacks())
	foreign, malformed := 0, 0
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		layers, _ := stack(seed)
		if seed%3 > 0 {
			layers = wild(rand.New(rand.NewPCG(seed, 7)))
		}
		journals := journalsOf(t, layers)
		for _, j := range journals {
			foreign += len(j.facts.ForeignLinks)
		}
		want, wantErr := inMemory(journals)
		got, gotErr := sorted(t, journals, 1+int(seed%5)*100)
		if errors.Is(wantErr, stackview.ErrMalformed) != errors.Is(gotErr, sortedview.ErrMalformed) || (wantErr == nil) != (gotErr == nil) {
			t.Errorf("seed %d: sorted: %v, in memory: %v\n%s", seed, gotErr, wantErr, tell(layers))
		}
		if wantErr != nil {
			malformed++
			continue
		}
		if diff := compare(got, want); diff != "" || !slices.Equal(got, want) {
			t.Errorf("seed %d: sorted is not what it is in memory:\n%s%s", seed, diff, tell(layers))
		}
	}
	if uint64(foreign) < count/10 || uint64(malformed) < count/50 {
		t.Errorf("%d links into lower layers and %d malformed stacks are too few to say much", foreign, malformed)
	}
}

// journalled is what was read of a layer.
type journalled struct {
	entries []layer.Entry
	facts   layer.Facts
}

// journalsOf reads the layers; those that nobody takes are left out.
func journalsOf(t *testing.T, layers [][]imagetest.Entry) (list []journalled) {
	t.Helper()
	for _, entries := range layers {
		var j journalled
		r, err := unpack.Read(t.Context(), bytes.NewReader(imagetest.Tar(entries...)), unpack.Source{}, unpack.ReadOptions{
			Serial: true, Record: func(e layer.Entry) error { j.entries = append(j.entries, e); return nil },
		})
		if errors.Is(err, unpack.ErrMalformed) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		j.facts = r.Facts
		list = append(list, j)
	}
	return list
}

func inMemory(journals []journalled) (lines []string, err error) {
	s := stackview.NewStack(stackview.Options{})
	var layers []*stackview.Layer
	for _, j := range journals {
		l := s.Layer()
		layers = append(layers, l)
		for _, e := range j.entries {
			if err := l.Record(e); err != nil {
				return nil, err
			}
		}
		if err := l.End(j.facts); err != nil {
			return nil, err
		}
	}
	view, err := s.Merge(layers...)
	if err != nil {
		return nil, err
	}
	for f := range view.All() {
		first := ""
		if f.Names > 1 {
			if first = f.Path; f.Link != "" {
				first = f.Link
			}
		}
		lines = append(lines, viewLine(f.Entry, f.Layer, first))
	}
	return lines, nil
}

// sorted sorts so many bytes at once, and goes over the view twice.
func sorted(t *testing.T, journals []journalled, most int) (lines []string, err error) {
	t.Helper()
	v := sortedview.New(sortedview.Options{Dir: t.TempDir(), Sorted: most})
	defer v.Close()
	for _, j := range journals {
		if err := v.Add(t.Context(), each(j.entries), j.facts); err != nil {
			return nil, err
		}
	}
	var before []string
	for range 2 {
		before = lines
		if lines, err = listSorted(t, v); err != nil {
			return nil, err
		}
	}
	if !slices.Equal(before, lines) {
		t.Error("a second pass gives something else")
	}
	return lines, nil
}

func listSorted(t *testing.T, v *sortedview.View) (lines []string, err error) {
	var files []sortedview.File
	names := map[uint64][]string{}
	err = v.All(t.Context(), func(f sortedview.File) error {
		files = append(files, f)
		if f.File != 0 {
			names[f.File] = append(names[f.File], f.Path)
		}
		return nil
	})
	for _, f := range files {
		first := ""
		if list := names[f.File]; f.File != 0 && len(list) > 1 {
			first = list[0]
		}
		lines = append(lines, viewLine(f.Entry, f.Layer, first))
	}
	return lines, err
}

// viewLine is all that counts of a path; its checksum does not.
func viewLine(e layer.Entry, from int, first string) string {
	e.Sum = 0
	if e.Type != layer.Symlink {
		e.Linkname = ""
	}
	if e.Implied {
		from = -1
	}
	return fmt.Sprintf("%s %c %o %d:%d %d %d at %d %v %d:%d %q %q %v %v layer %d of %q", e.Path, e.Type, e.Mode, e.UID, e.GID,
		e.ModTime.UnixNano(), e.Size, e.At, e.Fragments, e.Major, e.Minor, e.Linkname, e.Xattrs, e.Implied, e.Opaque, from, first)
}

func each(entries []layer.Entry) iter.Seq2[layer.Entry, error] {
	return func(yield func(layer.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// wild is layers of anything anywhere, the lowest first.
func wild(r *rand.Rand) (layers [][]imagetest.Entry) {
	name := func() string {
		parts := make([]string, 1+r.IntN(3))
		for i := range parts {
			parts[i] = string("ab!"[r.IntN(3)])
		}
		return strings.Join(parts, "/")
	}
	for range 1 + r.IntN(4) {
		var entries []imagetest.Entry
		for n := range 1 + r.IntN(9) {
			e := imagetest.Entry{Header: tar.Header{Name: name(), Mode: 0o600 + int64(n), Uid: r.IntN(9), ModTime: time.Unix(int64(n), 5)}}
			switch r.IntN(9) {
			case 0, 1:
				e.Typeflag, e.Name = tar.TypeDir, e.Name+"/"
			case 2:
				e.Typeflag, e.Linkname = tar.TypeSymlink, []string{"", "../", "/", "/../"}[r.IntN(4)]+name()
			case 3, 4:
				e.Typeflag, e.Linkname = tar.TypeLink, name()
			case 5:
				dir, base := split(e.Name)
				e.Typeflag, e.Name = tar.TypeReg, dir+"/.wh."+[]string{base, ".wh..opq"}[r.IntN(2)]
			case 6:
				e.Typeflag, e.Devmajor, e.Devminor = tar.TypeBlock, 7, int64(n)
			default:
				e.Typeflag, e.Body = tar.TypeReg, fmt.Sprint(n)
				e.PAXRecords = map[string]string{"SCHILY.xattr.user.n": fmt.Sprint(n)}
			}
			entries = append(entries, e)
		}
		layers = append(layers, entries)
	}
	return layers
}
