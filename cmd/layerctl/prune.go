// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
)

func pruneCommand() *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "remove what nothing needs",
		Description: `Removes images without a reference, layers and fix layers of no image, and
what was left behind by processes that died; and from the cache what no image
of the store needs. What is mounted, or being pulled
by any process, stays. With --keep-storage it goes on, with the image that was
unused for longest, until the layers take no more than that.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "remove nothing, tell what would go"},
			&cli.DurationFlag{Name: "older-than", Usage: "spare what was used within `TIME`, such as 24h"},
			&cli.GenericFlag{Name: "keep-storage", Value: &terminal.Size{}, Usage: "let the longest unused images go until the rest takes `SIZE`"},
		},
		Action: runPrune,
	}
}

func runPrune(c *cli.Context) (err error) {
	if err := noArguments(c); err != nil {
		return err
	}
	if c.Duration("older-than") < 0 {
		return &usageError{problem: fmt.Sprintf("--older-than %s is in the future", c.Duration("older-than"))}
	}
	store, err := openStore(c)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, store) }()
	options := overlaystore.PruneOptions{
		DryRun:      c.Bool("dry-run"),
		OlderThan:   c.Duration("older-than"),
		KeepStorage: size(c, "keep-storage"),
	}
	pruned, err := store.Prune(c.Context, options)
	if err != nil {
		return err
	}
	blobs, err := pruneCache(c, store, options)
	if err != nil {
		return err
	}
	return printPruned(c, pruned, blobs)
}

// pruneCache prunes the cache in the store's blobs/, if there is one.
func pruneCache(c *cli.Context, store *overlaystore.Store, o overlaystore.PruneOptions) (_ layerctl.PrunedBlobs, err error) {
	dir := filepath.Join(store.Path(), "blobs")
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return layerctl.PrunedBlobs{}, nil
	}
	kept, err := cache.Open(c.Context, dir)
	if err != nil {
		return layerctl.PrunedBlobs{}, err
	}
	defer func() { err = closing(err, kept) }()
	return layerctl.PruneCache(c.Context, store, kept, o)
}

func printPruned(c *cli.Context, p overlaystore.Pruned, blobs layerctl.PrunedBlobs) error {
	if c.Bool("json") {
		out := prunedJSON{Images: []storedImage{}, Layers: append([]digest.Digest{}, p.Layers...), Fixes: append([]digest.Digest{}, p.Fixes...), Blobs: []digest.Digest{}, Bytes: p.Bytes + blobs.Bytes}
		for _, b := range blobs.Blobs {
			out.Blobs = append(out.Blobs, b.Digest)
		}
		for _, i := range p.Images {
			out.Images = append(out.Images, stored(i))
		}
		return terminal.WriteJSON(c.App.Writer, out)
	}
	for _, i := range p.Images {
		if _, err := fmt.Fprintf(c.App.Writer, "image %s\n", i.Manifest); err != nil {
			return err
		}
	}
	for _, d := range p.Layers {
		if _, err := fmt.Fprintf(c.App.Writer, "layer %s\n", d); err != nil {
			return err
		}
	}
	for _, d := range p.Fixes {
		if _, err := fmt.Fprintf(c.App.Writer, "fix layer %s\n", d); err != nil {
			return err
		}
	}
	for _, b := range blobs.Blobs {
		if _, err := fmt.Fprintf(c.App.Writer, "blob %s\n", b.Digest); err != nil {
			return err
		}
	}
	if c.Bool("quiet") {
		return nil
	}
	verb := "freed"
	if c.Bool("dry-run") {
		verb = "would free"
	}
	terminal.NewConsole(c.App.ErrWriter).Say("%s %s", verb, terminal.Bytes(p.Bytes+blobs.Bytes))
	return nil
}

// prunedJSON is the output of prune --json; bytes are those of file contents
// and of blobs.
type prunedJSON struct {
	Images []storedImage   `json:"images"`
	Layers []digest.Digest `json:"layers"`
	Fixes  []digest.Digest `json:"fixLayers"`
	Blobs  []digest.Digest `json:"blobs"`
	Bytes  int64           `json:"bytes"`
}

// ago is how long ago a time was, in one unit.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
