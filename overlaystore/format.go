// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"encoding/json"
	"fmt"

	"github.com/layerctl/layerctl/internal/durable"
)

// FormatVersion is the format of the stores that this package makes, and the
// newest that it reads.
const FormatVersion = 1

// Whiteouts is the form in which a store keeps deleted names.
type Whiteouts string

// Xattrs is the namespace of the overlay marks in a store.
type Xattrs string

// IDs says what the owners of files in a store are.
type IDs string

// The forms of a store; see the package's documentation for their meaning.
const (
	CharDevices   Whiteouts = "chardev"  // character devices 0:0
	XattrMarks    Whiteouts = "xattr"    // empty files with an overlay.whiteout attribute
	TrustedXattrs Xattrs    = "trusted"  // trusted.overlay.*
	UserXattrs    Xattrs    = "user"     // user.overlay.*, mounted with userxattr
	HostIDs       IDs       = "host"     // the image's own
	MappedIDs     IDs       = "mapped"   // the image's own, inside the user namespace that fills the store
	SquashedIDs   IDs       = "squashed" // everything belongs to the caller
)

// Format is store.json: what was probed when the store was made. It never
// changes afterwards.
type Format struct {
	Version   int       `json:"format"`
	Whiteouts Whiteouts `json:"whiteouts"`
	Xattrs    Xattrs    `json:"xattrs"`
	IDs       IDs       `json:"ids"`
}

// wanted is what a store's form shall be; empty fields leave it open.
type wanted struct {
	ids       IDs
	whiteouts Whiteouts
}

// check refuses a store that was made in another form.
func (w wanted) check(f Format) error {
	const decided = "which was decided when it was made"
	if w.ids != "" && w.ids != f.IDs {
		return fmt.Errorf("%w: its ids are %s and not %s, %s", ErrFormat, f.IDs, w.ids, decided)
	}
	if w.whiteouts != "" && w.whiteouts != f.Whiteouts {
		return fmt.Errorf("%w: its whiteouts are %s and not %s, %s", ErrFormat, f.Whiteouts, w.whiteouts, decided)
	}
	return nil
}

// Xattr is the full name of the overlay attribute, for example
// "trusted.overlay.opaque" for "opaque".
func (f Format) Xattr(name string) string { return string(f.Xattrs) + ".overlay." + name }

// FormatOf reads the form of the store at dir without opening it: a process
// may have to enter a user namespace before. The error is fs.ErrNotExist where
// there is no store.
func FormatOf(dir string) (Format, error) {
	root, err := durable.OpenDir(dir)
	if err != nil {
		return Format{}, fmt.Errorf("read the form of store %q: %w", dir, err)
	}
	defer root.Close()
	raw, err := readFileAt(root, formatFile, maxFormat)
	if err != nil {
		return Format{}, fmt.Errorf("read the form of store %q: %w", dir, err)
	}
	f, err := parseFormat(raw)
	if err != nil {
		return Format{}, fmt.Errorf("read the form of store %q: %w", dir, err)
	}
	return f, nil
}

// maxFormat bounds store.json in bytes.
const maxFormat = 1 << 16

func parseFormat(raw []byte) (Format, error) {
	var f Format
	if err := json.Unmarshal(raw, &f); err != nil {
		return Format{}, fmt.Errorf("read store.json: %w: %w", ErrDamaged, err)
	}
	if f.Version > FormatVersion {
		return Format{}, fmt.Errorf("%w %d: this layerctl knows formats up to %d, use a newer one", ErrFormat, f.Version, FormatVersion)
	}
	known := f.Version == FormatVersion &&
		(f.Whiteouts == CharDevices || f.Whiteouts == XattrMarks) &&
		(f.Xattrs == TrustedXattrs || f.Xattrs == UserXattrs) &&
		(f.IDs == HostIDs || f.IDs == MappedIDs || f.IDs == SquashedIDs)
	if !known {
		return Format{}, fmt.Errorf("%w in store.json: %q", ErrFormat, raw)
	}
	return f, nil
}
