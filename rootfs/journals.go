// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
)

// Journals keeps the entries of layers that were fetched. [Read] does not fetch a
// layer whose entries are kept, so a layer that several images have is fetched and
// verified once. The memory for the entries counts in the Options.Memory of the Read
// that fetches them; entries of a layer that do not fit are not kept. The zero value
// is ready to use, by several goroutines too.
type Journals struct {
	mu      sync.Mutex
	journal map[digest.Digest]*journal
}

// journal has the entries of one layer.
type journal struct {
	entries []layer.Entry
	facts   layer.Facts
	lost    bool // the entries did not fit
}

// entryMemory is how many bytes an entry takes besides its strings.
const entryMemory = 300

// begin returns an empty journal; nil if j is nil.
func (j *Journals) begin() *journal {
	if j == nil {
		return nil
	}
	return &journal{}
}

// note adds an entry, as long as there is memory for it.
func (n *journal) note(stack *stackview.Stack, e layer.Entry) {
	if n == nil || n.lost {
		return
	}
	size := entryMemory + len(e.Path) + len(e.Linkname)
	for name, value := range e.Xattrs {
		size += len(name) + len(value)
	}
	if stack.Reserve(int64(size)) != nil {
		n.lost, n.entries = true, nil
		return
	}
	n.entries = append(n.entries, e)
}

// keep keeps a journal that is complete.
func (j *Journals) keep(diffID digest.Digest, n *journal, facts layer.Facts) {
	if n == nil || n.lost {
		return
	}
	n.facts = facts
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.journal == nil {
		j.journal = map[digest.Digest]*journal{}
	}
	j.journal[diffID] = n
}

// replay adds a layer whose entries are kept to the stack.
func (j *Journals) replay(stack *stackview.Stack, diffID digest.Digest) (_ *stackview.Layer, known bool, err error) {
	if j == nil {
		return nil, false, nil
	}
	j.mu.Lock()
	n := j.journal[diffID]
	j.mu.Unlock()
	if n == nil {
		return nil, false, nil
	}
	read := stack.Layer()
	for _, e := range n.entries {
		if err := read.Record(e); err != nil {
			return nil, true, err
		}
	}
	return read, true, read.End(n.facts)
}
