// SPDX-License-Identifier: Apache-2.0

package show

import (
	"io"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

// Unpacked prints the result of unpack as one object.
func Unpacked(w io.Writer, u layerctl.Unpacked) error {
	return terminal.WriteJSON(w, unpackedJSON{
		Reference: u.Reference.String(), Manifest: u.Manifest.Digest.String(),
		Files: u.Files, Directories: u.Directories, Symlinks: u.Symlinks, Links: u.Links, Nodes: u.Nodes, Bytes: u.Bytes,
		Fetched: u.Fetched, Stored: u.Stored, Unread: u.Unread, Notes: u.Notes,
	})
}

// unpackedJSON is the output of unpack --json. Fetched, Stored and Unread count layers;
// Notes has the keys of layer.json.
type unpackedJSON struct {
	Reference   string           `json:"reference"`
	Manifest    string           `json:"manifest"`
	Files       int64            `json:"files"`
	Directories int64            `json:"directories"`
	Symlinks    int64            `json:"symlinks"`
	Links       int64            `json:"links"`
	Nodes       int64            `json:"nodes"`
	Bytes       int64            `json:"bytes"`
	Fetched     int              `json:"fetched"`
	Stored      int              `json:"stored"`
	Unread      int              `json:"unread"`
	Notes       map[string]int64 `json:"notes"`
}
