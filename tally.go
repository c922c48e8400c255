// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// tally counts what unpacking makes while it passes the records on.
type tally struct {
	next   func(layer.Entry) error
	counts overlaystore.Counts
	paths  int64
	bytes  int64 // of files' contents
}

func (t *tally) record(e layer.Entry) error {
	t.paths++
	t.bytes += e.Size
	c := &t.counts
	switch e.Type {
	case layer.Regular:
		c.Regular++
	case layer.Directory:
		c.Directories++
	case layer.Symlink:
		c.Symlinks++
	case layer.Hardlink:
		c.Hardlinks++
	case layer.CharDevice, layer.BlockDevice, layer.FIFO:
		c.Devices++
	case layer.Whiteout:
		c.Whiteouts++
	}
	if e.Opaque != layer.Transparent {
		c.Opaque++
	}
	return t.next(e)
}

// needs adds to the error of a full disk what the layer takes in all. Its tar
// does not say; so it is what there was of it when so much of its blob was
// read, and the rest in proportion. More than that: who unpacks reads ahead.
func (t *tally) needs(err error, read, size int64) error {
	full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
	if !full || read <= 0 || t.paths < 2 {
		return err
	}
	whole := float64(max(size, read)) / float64(read)
	return fmt.Errorf("%w; the layer needs more than %.0f bytes and %.0f inodes", err, float64(t.bytes)*whole, float64(t.paths)*whole)
}
