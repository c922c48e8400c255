// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"encoding/json"
	"fmt"
)

// Facts are what a layer needs from the layers below it, and what overlayfs cannot
// see in the layer's directory. The JSON is part of layer.json (format 1). The
// slices are in the order of their paths.
type Facts struct {
	// RootOpaque is true where the layer hides all layers below it. Overlayfs
	// ignores an opaque mark on a layer's root, so the stack must end here.
	RootOpaque bool `json:"rootOpaque,omitempty"`
	// Implied are the directories without an entry in the tar, and "." if the root
	// has none. On disk they have mode 0755, owner 0:0 and the time 0; in an image
	// they have the attributes of the nearest lower layer with an entry for them.
	Implied []ImpliedDir `json:"implied,omitempty"`
	// WhiteoutParents are the directories that hold whiteouts. Where no lower layer
	// has the directory, overlayfs would list the names of the whiteouts.
	WhiteoutParents []Path `json:"whiteoutParents,omitempty"`
	// ForeignLinks are the hard links whose target is not in this layer. On disk
	// there is a whiteout at their path, or nothing where an opaque directory already
	// hides what lower layers have there.
	ForeignLinks []ForeignLink `json:"foreignLinks,omitempty"`
}

// ImpliedDir is a directory that has files in a layer's tar but no entry.
type ImpliedDir struct {
	Path Path // "." is the layer's root
	// Opaque is Replaced where nothing may be taken from a lower layer. In
	// JSON it is "marked", "replaced" or absent.
	Opaque Opaque
	// Bare is true for a directory that exists only to hold whiteouts: where no
	// lower layer has it, the image does not have it either.
	Bare bool
}

// ForeignLink is a hard link whose target is not in its own layer.
type ForeignLink struct {
	// Path is the new name and Target the existing one.
	Path   Path `json:"path"`
	Target Path `json:"target"`
}

type impliedJSON struct {
	Path   Path   `json:"path"`
	Opaque string `json:"opaque,omitempty"`
	Bare   bool   `json:"bare,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (d ImpliedDir) MarshalJSON() ([]byte, error) {
	j := impliedJSON{Path: d.Path, Bare: d.Bare}
	switch d.Opaque {
	case Marked:
		j.Opaque = "marked"
	case Replaced:
		j.Opaque = "replaced"
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *ImpliedDir) UnmarshalJSON(raw []byte) error {
	var j impliedJSON
	if err := json.Unmarshal(raw, &j); err != nil {
		return err
	}
	*d = ImpliedDir{Path: j.Path, Bare: j.Bare}
	switch j.Opaque {
	case "":
	case "marked":
		d.Opaque = Marked
	case "replaced":
		d.Opaque = Replaced
	default:
		return fmt.Errorf("directory %q is opaque in an unknown way: %q", j.Path, j.Opaque)
	}
	return nil
}
