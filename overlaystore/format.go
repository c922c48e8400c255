// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"fmt"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

// Format is store.json: the form that was probed or chosen when the store was
// created. It never changes afterwards.
type Format struct {
	Version int `json:"format"`
	layer.Form
}

// FormatOf reads the form of the store at dir without opening the store, for a
// process that may have to enter a user namespace first. The error is
// fs.ErrNotExist where there is no store.
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
