// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"encoding/json"
	"fmt"
)

// Facts are what a layer needs from those below it, and what overlayfs cannot
// know of it. The JSON is part of layer.json (format 1). The slices are in the
// order of their paths.
type Facts struct {
	// RootOpaque is true where the layer hides all layers below it. Overlayfs
	// ignores such a mark on a layer's root: the stack must be cut here.
	RootOpaque bool `json:"rootOpaque,omitempty"`
	// Implied are the directories, the root "." among them, that the tar has
	// no entry for. On disk they have mode 0755, owner 0:0 and the time 0:
	// the attributes are the nearest lower layer's to say.
	Implied []ImpliedDir `json:"implied,omitempty"`
	// WhiteoutParents are the directories that hold whiteouts. Over layers that
	// have no such directory the names of the whiteouts would show.
	WhiteoutParents []Path `json:"whiteoutParents,omitempty"`
	// ForeignLinks are the hard links whose target is not in this layer. On
	// disk there is a whiteout at their path, or nothing where an opaque
	// directory hides all below it already.
	ForeignLinks []ForeignLink `json:"foreignLinks,omitempty"`
}

// ImpliedDir is a directory that a layer's tar has files in but no entry for.
type ImpliedDir struct {
	Path Path // "." is the layer's root
	// Opaque is Replaced where nothing may be taken from a lower layer. In
	// JSON it is "marked" or "replaced", or not there.
	Opaque Opaque
	// Bare is true for a directory that is there for whiteouts only: where no
	// lower layer has it, it does not exist.
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
