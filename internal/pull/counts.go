// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"github.com/layerctl/layerctl/layer"
)

// counting counts what a layer brings and passes the entries on.
func counting(c *layer.Counts, next func(layer.Entry) error) func(layer.Entry) error {
	return func(e layer.Entry) error {
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
		return next(e)
	}
}
