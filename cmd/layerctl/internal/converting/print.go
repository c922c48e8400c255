// SPDX-License-Identifier: Apache-2.0

package converting

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/recast"
	"github.com/layerctl/layerctl/overlaystore"
)

// text prints a line for each image that the new store has.
func text(w io.Writer, _ *overlaystore.Store, done recast.Converted) error {
	for _, img := range done.Images {
		if err := terminal.Printf(w, "%s %s\n", img.Manifest, terminal.Escape(names(img.Refs))); err != nil {
			return err
		}
	}
	return nil
}

// documentJSON is the output of convert --json.
type documentJSON struct {
	Store  string          `json:"store"` // the new one
	Images []digest.Digest `json:"images"`
	Layers int             `json:"layers"` // that it did not have before
	Left   []leftJSON      `json:"left"`
}

type leftJSON struct {
	Layer digest.Digest `json:"layer"`
	Size  int64         `json:"size"` // of its tar in bytes
	Refs  []string      `json:"references"`
	Error string        `json:"error"`
}

func document(w io.Writer, to *overlaystore.Store, done recast.Converted) error {
	out := documentJSON{Store: to.Path(), Images: []digest.Digest{}, Layers: done.Layers, Left: []leftJSON{}}
	for _, img := range done.Images {
		out.Images = append(out.Images, img.Manifest)
	}
	for _, l := range done.Left {
		out.Left = append(out.Left, leftJSON{l.Layer, l.Size, append([]string{}, l.Refs...), l.Err.Error()})
	}
	return terminal.WriteJSON(w, out)
}

func names(refs []string) string { return strings.Join(refs, ", ") }

// leftError says that the new store lacks layers.
type leftError struct {
	left []recast.Left
	to   string
}

func (e *leftError) Error() string {
	return fmt.Sprintf("%s could not be converted, and the images of these are not in %q", terminal.Count(len(e.left), "layer"), e.to)
}

// Hint says how they can be made there.
func (e *leftError) Hint() string {
	var hints []string
	for _, l := range e.left {
		hint := fmt.Sprintf("'layerctl pull --store %s REF' brings them there; a cache that has their blobs (--keep-blobs) would do, too", e.to)
		if !errors.Is(l.Err, recast.ErrNoTar) {
			hint = "'layerctl verify --repair' mends the store that they are in; then convert goes on"
		}
		if !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	return strings.Join(hints, "; ")
}

// Unwrap returns the error of each layer.
func (e *leftError) Unwrap() (causes []error) {
	for _, l := range e.left {
		causes = append(causes, l.Err)
	}
	return causes
}
