// SPDX-License-Identifier: Apache-2.0

package layercheck

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/layer"
)

// batchSize is how many paths one goroutine checks in a row.
const batchSize = 64

// expected is one path to compare. sameAs is the path that a hard link shares its
// inode with, "" when that one's name went to another file later.
type expected struct {
	layer.Entry
	sameAs string
}

// dispatch is the second pass over files.zst: it hands the records that hold
// to the group.
func (c *Check) dispatch(ctx context.Context, group *errgroup.Group, dir, root *os.File, j *journal.Index) error {
	r, err := journal.OpenUntil(dir, c.o.Until)
	if err != nil {
		return err
	}
	defer r.Close()
	var batch []expected
	send := func() {
		todo := batch
		batch = nil
		group.Go(func() error { return c.comparePaths(ctx, root, todo) })
	}
	// Files whose name went to something else, for the hard links that still
	// lead to them.
	replaced := map[string]layer.Entry{}
	var index uint32
	for e, err := range r.All() {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		i := index
		index++
		if e.Type == layer.Removed || e.Type == layer.OpaqueMark {
			continue
		}
		if !j.Holds(i, e.Path) {
			if j.IsLinked(e.Path) {
				replaced[e.Path] = e
			}
			continue
		}
		if e.Path != "." {
			c.live++
		}
		e.Opaque = j.Opaque(&e)
		if batch = append(batch, link(e, i, j, replaced)); len(batch) == batchSize {
			send()
		}
	}
	send()
	return nil
}

// link says what a record is compared with: a hard link with the file that its
// target was when the link was made.
func link(e layer.Entry, index uint32, j *journal.Index, replaced map[string]layer.Entry) expected {
	if e.Type != layer.Hardlink {
		return expected{Entry: e}
	}
	target := j.Last(e.Linkname)
	if target < index && j.Holds(target, e.Linkname) {
		return expected{Entry: e, sameAs: e.Linkname}
	}
	if was, ok := replaced[e.Linkname]; ok {
		was.Path = e.Path
		return expected{Entry: was}
	}
	return expected{Entry: e}
}
