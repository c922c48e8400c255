// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"hash/maphash"
	"os"
	"path"

	"github.com/layerctl/layerctl/layer"
)

// Index says which records of a journal are the last word on their path. It
// keeps a number for each path, not the path: a million of them fit into 50 MB.
type Index struct {
	seed    maphash.Seed
	last    map[uint64]lastRecord
	removed map[string]uint32 // paths below which earlier records no longer hold
	linked  map[uint64]bool   // paths that hard links name
}

type lastRecord struct {
	index  uint32
	dir    bool
	opaque layer.Opaque // by a later mark
}

// ReadIndex reads the journal in a layer's directory, up to a mark or all of it. It is the first of two
// passes: what comes later decides which records hold.
func ReadIndex(dir *os.File, until *Mark) (*Index, error) {
	r, err := OpenUntil(dir, until)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	j := &Index{
		seed: maphash.MakeSeed(), last: map[uint64]lastRecord{},
		removed: map[string]uint32{}, linked: map[uint64]bool{},
	}
	var index uint32
	for e, err := range r.All() {
		if err != nil {
			return nil, err
		}
		j.note(index, &e)
		index++
	}
	return j, nil
}

func (j *Index) hash(p string) uint64 { return maphash.String(j.seed, p) }

func (j *Index) note(index uint32, e *layer.Entry) {
	h := j.hash(e.Path)
	before, known := j.last[h]
	switch e.Type {
	case layer.Removed:
		j.removed[e.Path] = index
		return
	case layer.OpaqueMark:
		if known {
			before.opaque = e.Opaque
			j.last[h] = before
		}
		return
	case layer.Hardlink:
		j.linked[j.hash(e.Linkname)] = true
	}
	if known && before.dir && e.Type != layer.Directory {
		j.removed[e.Path] = index // what was in the directory went with it
	}
	j.last[h] = lastRecord{index: index, dir: e.Type == layer.Directory}
}

// Holds reports whether the record with that number, counted from 0, is the last
// word on its path.
func (j *Index) Holds(index uint32, p string) bool {
	if j.last[j.hash(p)].index != index {
		return false
	}
	if len(j.removed) == 0 {
		return true
	}
	for {
		if at, ok := j.removed[p]; ok && at > index {
			return false
		}
		if p == "." {
			return true
		}
		p = path.Dir(p)
	}
}

// Has reports whether the journal says that there is something at the path.
func (j *Index) Has(p string) bool {
	r, known := j.last[j.hash(p)]
	return known && j.Holds(r.index, p)
}

// Last is the number of the last record for a path, without those of the types
// that only a journal has.
func (j *Index) Last(p string) uint32 { return j.last[j.hash(p)].index }

// IsLinked reports whether a hard link names the path.
func (j *Index) IsLinked(p string) bool { return j.linked[j.hash(p)] }

// Opaque is what a later mark says of a directory, or else its own record.
func (j *Index) Opaque(e *layer.Entry) layer.Opaque {
	if o := j.last[j.hash(e.Path)].opaque; o != layer.Transparent {
		return o
	}
	return e.Opaque
}
