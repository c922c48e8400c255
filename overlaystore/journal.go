// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"hash/maphash"
	"os"
	"path"

	"github.com/layerctl/layerctl/layer"
)

// journal says which records of a files.zst still hold. It keeps a number for
// each path, not the paths: a million of them fit into some 50 MB.
type journal struct {
	seed    maphash.Seed
	last    map[uint64]lastRecord
	removed map[string]uint32 // paths below which earlier records no longer hold
	linked  map[uint64]bool   // paths that hard links name
	live    int64             // paths that exist, without the root
}

type lastRecord struct {
	index  uint32
	dir    bool
	opaque layer.Opaque // by a later mark
}

// readJournal is the first of two passes: what comes later decides which
// records hold.
func readJournal(layer *os.File) (*journal, error) {
	r, done, err := openFiles(layer)
	if err != nil {
		return nil, err
	}
	defer done()
	j := &journal{
		seed: maphash.MakeSeed(), last: map[uint64]lastRecord{},
		removed: map[string]uint32{}, linked: map[uint64]bool{},
	}
	var index uint32
	for e, err := range r.all() {
		if err != nil {
			return nil, err
		}
		j.note(index, &e)
		index++
	}
	return j, nil
}

func (j *journal) hash(p string) uint64 { return maphash.String(j.seed, p) }

func (j *journal) note(index uint32, e *layer.Entry) {
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

// holds reports whether the record with that index is the last word on its
// path.
func (j *journal) holds(index uint32, p string) bool {
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

// opaque is what a later mark says of a directory, or what its record does.
func (j *journal) opaque(e *layer.Entry) layer.Opaque {
	if o := j.last[j.hash(e.Path)].opaque; o != layer.Transparent {
		return o
	}
	return e.Opaque
}
