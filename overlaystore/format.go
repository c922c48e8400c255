// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"fmt"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

// Format is store.json: what was probed when the store was made. It never
// changes afterwards.
type Format struct {
	Version int `json:"format"`
	layer.Form
}

// FormatOf reads the form of the store at dir without opening it: a process
// may have to enter a user namespace before. The error is fs.ErrNotExist where
// there is no store.
func FormatOf(dir string) (Format, error) {
	root, err := durable.OpenDir(dir)
	if err != nil {
		return Format{}, fmt.Errorf("read the form of store %q: %w", dir, err)
	}
	defer root.Close()
	raw, err := storedirs.ReadFormat(root)
	if err != nil {
		return Format{}, fmt.Errorf("read the form of store %q: %w", dir, err)
	}
	f, err := storedirs.Parse(raw)
	if err != nil {
		return Format{}, fmt.Errorf("read the form of store %q: %w", dir, err)
	}
	return Format(f), nil
}
