// SPDX-License-Identifier: Apache-2.0

package show

import (
	"io"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
)

// mountJSON is the output of mount --format json.
type mountJSON struct {
	Reference string             `json:"reference"`
	Image     overlaystore.Image `json:"image"`
	Lower     []string           `json:"lower"`
	Upper     string             `json:"upper,omitempty"`
	Work      string             `json:"work,omitempty"`
	Type      string             `json:"type"`
	Source    string             `json:"source"`
	Target    string             `json:"target"`
	// Flags and Options are for mount(2), in the directory Directory.
	Flags     []string `json:"flags"`
	Options   string   `json:"options"`
	Directory string   `json:"directory"`
	Line      string   `json:"line"`
}

// MountJSON prints everything about a mount as one object.
func MountJSON(w io.Writer, mount *overlaymount.Mount, image overlaystore.Image, name, target string) error {
	line, err := mount.Line(target)
	if err != nil {
		return err
	}
	options, err := mount.Options()
	if err != nil {
		return err
	}
	return terminal.WriteJSON(w, mountJSON{
		Reference: name, Image: image, Lower: mount.Lower(), Upper: mount.Upper(), Work: mount.Work(),
		Type: mount.Type(), Source: mount.Source(), Target: target,
		Flags: mount.Flags(), Options: options, Directory: mount.LinkDir(), Line: line,
	})
}

// SpecJSON prints a mount as the list of mounts that containerd takes.
func SpecJSON(w io.Writer, spec overlaymount.Spec) error {
	return terminal.WriteJSON(w, []overlaymount.Spec{spec})
}
