// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"github.com/urfave/cli/v2"

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
	var errs []error
	for _, arg := range refs {
		image, name, err := setup.LookupToRead(c, store, arg)
		if err == nil {
			err = store.Remove(c.Context, name, image.Manifest)
		} else if errors.Is(err, overlaystore.ErrDamaged) {
			err = store.Remove(c.Context, name, "") // nobody can tell any more what it names
		}
		errs = append(errs, failure.Concerns(arg, err))
	}
	return errors.Join(errs...)
}
