// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/stackview"
	"github.com/layerctl/layerctl/layer"
)

// Journals remember what layers said that were fetched, for other images that
// have them too: such a layer is fetched and verified once. What one Read
// remembers comes out of its Options.Memory; what does not fit is forgotten. The
// zero value is ready; it may be used concurrently.
type Journals struct {
	mu      sync.Mutex
	journal map[digest.Digest]*journal
}

// journal is what one layer said.
type journal struct {
	entries []layer.Entry
	facts   layer.Facts
	lost    bool // it did not fit
}

// entryMemory is what an entry takes beside its texts.
const entryMemory = 300

// begin is an empty journal, nil where nobody remembers.
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

// keep remembers a journal that is complete.
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

// replay feeds the stack with a layer that is remembered.
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
