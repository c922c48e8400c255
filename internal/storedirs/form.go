// SPDX-License-Identifier: Apache-2.0

package storedirs

import (
	"encoding/json"
	"fmt"

	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/layer"
)

// The formats of a store: that of directories, and that of tars, which a reader
// of the first would take for damaged.
const (
	directories = 1
	tars        = 2
)

// Format is what store.json says.
type Format struct {
	Version int `json:"format"`
	layer.Form
}

// Encode is the store.json of a store in that form.
func Encode(form layer.Form) ([]byte, error) {
	f := Format{directories, form}
	if f.Lower == layer.Directories {
		f.Lower = ""
	}
	if f.Lower != "" {
		f.Version = tars
	}
	return json.Marshal(f)
}

// Parse reads a store.json, and refuses what this version does not know.
func Parse(raw []byte) (Format, error) {
	var f Format
	if err := json.Unmarshal(raw, &f); err != nil {
		return Format{}, fmt.Errorf("read store.json: %w: %w", journal.ErrDamaged, err)
	}
	if f.Version > tars {
		return Format{}, fmt.Errorf("%w %d: this layerctl knows formats up to %d, use a newer one", ErrFormat, f.Version, tars)
	}
	known := (f.Version == directories && f.Lower == "" && !f.Verity || f.Version == tars && f.Lower == layer.Tars) &&
		(f.Whiteouts == layer.CharDevices || f.Whiteouts == layer.XattrMarks) &&
		(f.Xattrs == layer.TrustedXattrs || f.Xattrs == layer.UserXattrs) &&
		(f.IDs == layer.HostIDs || f.IDs == layer.MappedIDs || f.IDs == layer.SquashedIDs)
	if !known {
		return Format{}, fmt.Errorf("%w in store.json: %q", ErrFormat, raw)
	}
	return f, nil
}

// CheckWanted refuses a store that was made in another form than what is
// wanted, in which "" leaves a field open, and false that of fs-verity.
func CheckWanted(w, f layer.Form) error {
	const decided = "which was decided when it was made"
	if w.IDs != "" && w.IDs != f.IDs {
		return fmt.Errorf("%w: its ids are %s and not %s, %s", ErrFormat, f.IDs, w.IDs, decided)
	}
	if w.Whiteouts != "" && w.Whiteouts != f.Whiteouts {
		return fmt.Errorf("%w: its whiteouts are %s and not %s, %s", ErrFormat, f.Whiteouts, w.Whiteouts, decided)
	}
	if f.Lower == "" {
		f.Lower = layer.Directories
	}
	if w.Lower != "" && w.Lower != f.Lower {
		return fmt.Errorf("%w: its layers have the form %s and not %s, %s", ErrFormat, f.Lower, w.Lower, decided)
	}
	if w.Verity && !f.Verity {
		return fmt.Errorf("%w: its files are without fs-verity, %s", ErrFormat, decided)
	}
	return nil
}
