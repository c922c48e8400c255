// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"encoding/json"
	"fmt"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

// formatVersion is the format of the stores that this package makes, and the
// newest that it reads.
const formatVersion = 1

// Format is store.json: what was probed when the store was made. It never
// changes afterwards.
type Format struct {
	Version int `json:"format"`
	layer.Form
}

// checkWanted refuses a store that was made in another form than what is wanted.
func checkWanted(w layer.Form, f Format) error {
	const decided = "which was decided when it was made"
	if w.IDs != "" && w.IDs != f.IDs {
		return fmt.Errorf("%w: its ids are %s and not %s, %s", ErrFormat, f.IDs, w.IDs, decided)
	}
	if w.Whiteouts != "" && w.Whiteouts != f.Whiteouts {
		return fmt.Errorf("%w: its whiteouts are %s and not %s, %s", ErrFormat, f.Whiteouts, w.Whiteouts, decided)
	}
	return nil
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
	f, err := parseFormat(raw)
	if err != nil {
		return Format{}, fmt.Errorf("read the form of store %q: %w", dir, err)
	}
	return f, nil
}

func parseFormat(raw []byte) (Format, error) {
	var f Format
	if err := json.Unmarshal(raw, &f); err != nil {
		return Format{}, fmt.Errorf("read store.json: %w: %w", ErrDamaged, err)
	}
	if f.Version > formatVersion {
		return Format{}, fmt.Errorf("%w %d: this layerctl knows formats up to %d, use a newer one", ErrFormat, f.Version, formatVersion)
	}
	known := f.Version == formatVersion &&
		(f.Whiteouts == layer.CharDevices || f.Whiteouts == layer.XattrMarks) &&
		(f.Xattrs == layer.TrustedXattrs || f.Xattrs == layer.UserXattrs) &&
		(f.IDs == layer.HostIDs || f.IDs == layer.MappedIDs || f.IDs == layer.SquashedIDs)
	if !known {
		return Format{}, fmt.Errorf("%w in store.json: %q", ErrFormat, raw)
	}
	return f, nil
}
