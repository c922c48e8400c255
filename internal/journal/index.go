// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"hash/maphash"
	"os"
	"path"

	"github.com/layerctl/layerctl/layer"
)

// Index says which records of a journal hold, because no later record replaces or
// removes their path. It keeps a hash for each path instead of the path: a million of
// them fit into 50 MB.
type Index struct {
	seed    maphash.Seed
	last    map[uint64]lastRecord
	removed map[string]uint32 // paths at and below which earlier records no longer hold
	linked  map[uint64]bool   // the targets of hard links
}

type lastRecord struct {
	index  uint32
	dir    bool
	opaque layer.Opaque // by a later mark
}

// ReadIndex reads the journal in a layer's directory, up to a mark, or to its end if
// the mark is nil. A reader that needs the records that hold reads the journal once
// more, because only later records say which do.
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

// Holds reports whether the record with that number, counted from 0, and the path p
// holds.
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

// Has reports whether a record for the path holds.
func (j *Index) Has(p string) bool {
	r, known := j.last[j.hash(p)]
	return known && j.Holds(r.index, p)
}

// Last returns the number of the last record for a path. Records of the types Removed
// and OpaqueMark do not count.
func (j *Index) Last(p string) uint32 { return j.last[j.hash(p)].index }

// IsLinked reports whether a hard link has the path as its target.
func (j *Index) IsLinked(p string) bool { return j.linked[j.hash(p)] }

// Opaque returns how a directory is opaque: by a later mark, or else by its record e.
func (j *Index) Opaque(e *layer.Entry) layer.Opaque {
	if o := j.last[j.hash(e.Path)].opaque; o != layer.Transparent {
		return o
	}
	return e.Opaque
}
