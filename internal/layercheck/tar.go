// SPDX-License-Identifier: Apache-2.0

package layercheck

import (
	"cmp"
	"context"
	"os"

	"github.com/layerctl/layerctl/internal/journal"
)

// Journal reads the journal in dir, a layer's directory, to its end, and tells
// how many records it has.
func (c *Check) Journal(ctx context.Context, dir *os.File) (records int64, err error) {
	r, err := journal.Open(dir)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for _, err := range r.All() {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return 0, err
		}
		records++
	}
	return records, nil
}

// Compared counts what was compared by others.
func (c *Check) Compared(files, bytes int64) {
	c.files.Add(files)
	c.bytes.Add(bytes)
}
