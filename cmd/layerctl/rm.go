// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/engines"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/overlaystore"
)

func rmCommand() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove images from the store",
		ArgsUsage: "REF…",
		Action:    runRm,
	}
}

func runRm(c *cli.Context) (err error) {
	refs, err := setup.Arguments(c, 1, -1, "one REF or more")
	if err != nil {
		return err
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	several := &severalError{of: len(refs), what: "references were not removed"}
	for _, arg := range refs {
		if err := failure.Concerns(arg, removeOne(c, store, arg)); err != nil {
			if len(refs) == 1 {
				return err
			}
			several.add(c, err)
		}
	}
	return several.err()
}

// removeOne removes a reference. If it was the last one of its image, it also takes the
// image back from the engines that it was given to.
func removeOne(c *cli.Context, store *overlaystore.Store, arg string) error {
	image, name, err := setup.LookupToRead(c, store, arg)
	if errors.Is(err, overlaystore.ErrDamaged) {
		return store.Remove(c.Context, name, "") // the record of its image cannot be read
	}
	if err != nil {
		return engines.Elsewhere(store, arg, err)
	}
	gone := []string{name}
	if name == "" { // arg is the image's digest
		gone = image.Refs
	}
	for _, ref := range gone {
		if err := store.Remove(c.Context, ref, image.Manifest); err != nil {
			return err
		}
	}
	if len(image.Refs) > len(gone) {
		return nil
	}
	return engines.TakeRemoved(c, store, image.Manifest)
}
