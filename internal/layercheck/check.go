// SPDX-License-Identifier: Apache-2.0

package layercheck

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/layer"
)

// Options are how to compare. The zero value but for the form compares
// everything.
type Options struct {
	// Form is that of the layer on disk.
	Form layer.Form
	// Quick leaves out contents and attributes: it compares types, sizes,
	// modes, owners and times.
	Quick bool
	// Jobs is how many files are read at once; 0 means one for each CPU.
	Jobs int
	// Uncached reads contents from the disk, as far as they have been written to
	// it, and not from memory.
	Uncached bool
	// Copied says that it is a copy for an engine, in which a fix layer is, too:
	// directories must only be there, and whiteouts, implied directories and
	// further names are not looked at.
	Copied bool
	// Known, where not nil, is a lower dir whose files were compared already:
	// those that are one with a file there are not read again.
	Known *os.File
	// Until is where the journal of a layer on its way ends; nil is at its end.
	Until *journal.Mark
}

// Difference is one thing in a layer that is not what was recorded.
type Difference struct {
	Path  string // in the layer, "" for the layer itself
	Field string // such as "content", "mode", "xattr user.x", "missing"
	Got   string
	Want  string
}

// maxDifferences bounds what is listed of one layer.
const maxDifferences = 1000

// Check is the comparison of one layer.
type Check struct {
	o     Options
	files atomic.Int64
	bytes atomic.Int64
	mu    sync.Mutex
	live  int64 // paths that the journal says are there, without the root
	found []Difference
}

// New begins the comparison of one layer.
func New(o Options) *Check {
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	return &Check{o: o}
}

// Differ adds a difference, unless very many are listed already.
func (c *Check) Differ(path, field, got, want string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.found) < maxDifferences {
		c.found = append(c.found, Difference{path, field, got, want})
	}
}

// Result is what was found so far.
type Result struct {
	Files       int64        // paths that were compared
	Bytes       int64        // of content that was read
	Differences []Difference // in the order of paths
}

// Result is what was found by the calls of Run and Differ that have returned.
func (c *Check) Result() Result {
	sort.SliceStable(c.found, func(i, j int) bool { return c.found[i].Path < c.found[j].Path })
	return Result{c.files.Load(), c.bytes.Load(), c.found}
}

// Run compares root, the lower dir, with the journal in dir, the layer's
// directory. Its error is one of reading at all, such as
// [journal.ErrDamaged]; what differs is in the result.
func (c *Check) Run(ctx context.Context, dir, root *os.File) error {
	j, err := journal.ReadIndex(dir, c.o.Until)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.o.Jobs)
	err = c.dispatch(ctx, group, dir, root, j)
	if err := errors.Join(group.Wait(), err); err != nil || c.o.Copied {
		return err
	}
	return c.extras(dir, root, j)
}
